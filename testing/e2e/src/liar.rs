//! A proxy in front of JSON-RPC that changes one answer.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

/// What becomes of an answer.
pub type Lie = fn(&str) -> String;

/// Passes everything on to `port`, but for answers to requests that contain `asked`: those go through `lie`. Returns its own port. It ends
/// with the test's process.
///
/// # Panics
/// No port.
pub fn in_front_of(port: u16, asked: &'static str, lie: Lie) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let own = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is its own affair.
            let _ = answer(stream, port, asked, lie);
        }
    });
    own
}

fn answer(mut stream: TcpStream, port: u16, asked: &str, lie: Lie) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request = String::from_utf8(body).ok()?;
    let is_asked = request.contains(asked);
    let client = reqwest::blocking::Client::new();
    let sent = client.post(format!("http://127.0.0.1:{port}")).header("content-type", "application/json").body(request);
    let text = sent.send().ok()?.text().ok()?;
    let text = if is_asked { lie(&text) } else { text };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(text.as_bytes()).ok()
}
