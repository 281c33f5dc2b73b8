//! Certificates that are exchanged under the running service, confined as it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslStream};
use softhsm_tests::pki::Papers;
use softhsm_tests::process::PATIENCE;
use softhsm_tests::service::{Service, Site};

#[test]
fn a_hangup_reads_everything_again_and_ends_neither_the_service_nor_a_connection() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let service = site.serve().unwrap();
    let papers = site.pki().master("m1").unwrap();
    let mut open = connect(&service, &papers);
    assert_eq!(ask(&mut open), 200);
    let before = shown(&open);

    // Nothing changed, so only the signal makes it read.
    assert_eq!(service.log().count("certificates reloaded"), 0);
    hang_up(&service);
    service.log().wait_for("certificates reloaded").unwrap();
    assert_eq!(shown(&connect(&service, &papers)), before);

    let renewed = site.pki().server_again().unwrap();
    let server = site.pki().server();
    let read = service.log().len();
    std::fs::rename(&renewed.key, &server.key).unwrap();
    std::fs::rename(&renewed.certificate, &server.certificate).unwrap();
    hang_up(&service);
    let log = service.log();
    log.wait_for_after(read, "certificates reloaded").unwrap();
    let mut new = connect(&service, &papers);
    assert_ne!(shown(&new), before);
    assert_eq!(ask(&mut new), 200);
    assert_eq!(ask(&mut open), 200, "the connection was not dropped");
    assert!(service.stop().unwrap().success());
}

fn hang_up(service: &Service) {
    let id = Pid::from_raw(service.id().try_into().unwrap());
    kill(id, Signal::SIGHUP).unwrap();
}

type Connection = BufReader<SslStream<TcpStream>>;

fn connect(service: &Service, papers: &Papers) -> Connection {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_ca_file(&papers.ca).unwrap();
    builder
        .set_certificate_file(&papers.certificate, SslFiletype::PEM)
        .unwrap();
    builder
        .set_private_key_file(&papers.key, SslFiletype::PEM)
        .unwrap();
    let url = service.url();
    let stream = TcpStream::connect(url.trim_start_matches("https://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(builder.build().connect("127.0.0.1", stream).unwrap())
}

/// The certificate that the service showed on this connection.
fn shown(connection: &Connection) -> Vec<u8> {
    let certificate = connection.get_ref().ssl().peer_certificate().unwrap();
    certificate.to_der().unwrap()
}

/// One request on a connection that stays open; its status.
fn ask(connection: &mut Connection) -> u16 {
    let request = b"GET /v1/signing-keys HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.get_mut().write_all(request).unwrap();
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        let line = line.trim_end().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
        status = status.or_else(|| line.split(' ').nth(1)?.parse().ok());
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    status.unwrap()
}
