#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

/// Accepts a number of bytes, then fails until there is room again.
#[derive(Default)]
struct Disk {
    room: usize,
    written: Vec<u8>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.room);
        if length == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= length;
        self.written.extend(bytes.iter().take(length));
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_was_written_in_part_does_not_join_the_next() {
    let mut output = Output { file: Some(Disk { room: 7, ..Disk::default() }), torn: false };
    assert!(output.write_whole(b"first\n").is_ok());
    assert!(output.write_whole(b"second\n").is_err());
    assert!(output.write_whole(b"third\n").is_err());
    output.file.as_mut().unwrap().room = 100;
    assert!(output.write_whole(b"fourth\n").is_ok());
    assert_eq!(String::from_utf8(output.file.unwrap().written).unwrap(), "first\ns\nfourth\n");
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let queue = Queue::new();
    let line = vec![b'x'; MOST_BYTES / 2];
    assert_eq!(queue.push(&line), Pushed::First);
    assert_eq!(queue.push(&line), Pushed::Later);
    assert_eq!(queue.push(b"x"), Pushed::Dropped);
    assert_eq!(queue.state().dropped, 1);
    let mut output = Output { file: Some(Vec::new()), torn: false };
    queue.write_next(&mut output);
    assert_eq!(queue.state().dropped, 0, "the log says it now");
    assert_eq!(queue.push(b"x"), Pushed::Later);
}

#[test]
fn nobody_waits_for_long() {
    let queue = Queue::new();
    queue.push(b"never written");
    let began = Instant::now();
    queue.wait_until_written(Duration::from_millis(10));
    assert!(began.elapsed() < Duration::from_secs(5));
    queue.write_next(&mut Output { file: Some(Vec::new()), torn: false });
    queue.wait_until_written(Duration::from_secs(60));
    assert!(began.elapsed() < Duration::from_secs(30));
}
