use super::*;

#[test]
fn looks_through_the_wrapping_of_io_errors() {
    let tls = rustls::Error::General("a certificate".to_owned());
    let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
    assert!(caused_by(&wrapped, &|cause| cause.is::<rustls::Error>()));
    let plain = io::Error::from(io::ErrorKind::ConnectionReset);
    assert!(!caused_by(&plain, &|cause| cause.is::<rustls::Error>()));
}
