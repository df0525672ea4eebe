use std::io;
use std::sync::{Mutex, PoisonError};

use indicatif::TermLike;
use rustix::termios::tcgetwinsize;

/// Size assumed if the terminal does not report one.
const SIZE: (u16, u16) = (80, 24);

/// Standard error as a terminal for bars. Each drawing is queued as a whole.
#[derive(Debug, Default)]
pub(crate) struct Terminal {
    drawing: Mutex<String>,
}

impl Terminal {
    fn draw(&self, text: &str) {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }

    fn step(&self, count: usize, direction: char) {
        if count > 0 {
            self.draw(&format!("\u{1b}[{count}{direction}"));
        }
    }
}

/// Returns columns and rows.
fn size() -> (u16, u16) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        Ok(_) | Err(_) => SIZE,
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        size().0
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.step(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.step(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.step(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.step(n, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.draw(text);
        self.draw("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw("\r\u{1b}[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let drawing = std::mem::take(&mut *self.drawing.lock().unwrap_or_else(PoisonError::into_inner));
        if !drawing.is_empty() {
            super::write(&drawing);
        }
        Ok(())
    }
}
