//! Ports that somebody has already, and who that is.
//!
//! # What it does not protect against
//! Whoever takes a port between this look and the start of its process; that process says so itself then. The holder is found only where
//! /proc shows it: processes of this user, or all of them to root.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::Path,
};

use pol_kit::exit::Exit;

use crate::args::NamedPort;

/// Longest table of sockets that is looked at.
const TABLE_BYTES: usize = 16 << 20;
/// State LISTEN of a TCP socket; 07 is what a bound UDP socket has.
const LISTEN: &str = "0A";
const UDP_BOUND: &str = "07";

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// The ports among these that are in use, with who has them, as far as that can be seen.
pub fn busy(ports: &[NamedPort]) -> Vec<(NamedPort, Option<Holder>)> {
    let taken = |error: io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let is_busy = |port: &NamedPort| {
        let address = (Ipv4Addr::LOCALHOST, port.port);
        TcpListener::bind(address).is_err_and(taken) || port.udp && UdpSocket::bind(address).is_err_and(taken)
    };
    ports.iter().filter(|port| is_busy(port)).map(|port| (*port, holder(Path::new("/proc"), port.port))).collect()
}

/// One line about ports that are in use.
pub fn line(busy: &[(NamedPort, Option<Holder>)]) -> String {
    let each = busy.iter().map(|(port, holder)| {
        let by = match holder {
            Some(Holder { pid, name }) => format!("{name} (process {pid})"),
            None => "another user's process".to_owned(),
        };
        format!("port {} ({}, {}) is in use by {by}", port.port, port.what, port.variable)
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Nothing, when all ports can be had.
///
/// # Errors
/// The operator's: which are in use, by whom, and what to do.
pub fn check(needed: &[NamedPort]) -> Result<(), Exit> {
    let busy = busy(needed);
    if busy.is_empty() { Ok(()) } else { Err(Exit::usage(format!("{}; stop it, or give --port-offset", line(&busy)))) }
}

/// Who listens on a port, as /proc shows it.
fn holder(proc: &Path, port: u16) -> Option<Holder> {
    let tables = [("net/tcp", LISTEN), ("net/tcp6", LISTEN), ("net/udp", UDP_BOUND), ("net/udp6", UDP_BOUND)];
    let inodes: Vec<u64> = tables
        .iter()
        .filter_map(|(name, state)| Some((fs::read(proc.join(name)).ok().filter(|text| text.len() <= TABLE_BYTES)?, state)))
        .flat_map(|(text, state)| inodes(&String::from_utf8_lossy(&text), port, state))
        .collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir(proc).ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find_map(|pid| {
        let mut open = fs::read_dir(proc.join(format!("{pid}/fd"))).ok()?.flatten();
        let holds = open.any(|entry| fs::read_link(entry.path()).is_ok_and(|to| links.iter().any(|link| to == Path::new(link))));
        let name = || fs::read_to_string(proc.join(format!("{pid}/comm"))).unwrap_or_default().trim().to_owned();
        holds.then(|| Holder { pid, name: name() })
    })
}

/// Inodes of the sockets that a table of /proc/net lists with this local port and state.
fn inodes(table: &str, port: u16, state: &str) -> Vec<u64> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (_, local, _, found) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let (_, digits) = local.rsplit_once(':')?;
        let is_it = u16::from_str_radix(digits, 16) == Ok(port) && found == state;
        is_it.then(|| words.nth(5)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:2161 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
        1: 0100007F:2161 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n\
        2: garbage\n";

    #[test]
    fn a_listening_socket_is_found_by_its_port_and_a_connection_is_not() {
        assert_eq!(inodes(TABLE, 0x2161, LISTEN), [4711]);
        assert_eq!(inodes(TABLE, 0x2162, LISTEN), [0_u64; 0]);
    }

    #[test]
    fn a_busy_port_names_the_process_that_has_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let named = NamedPort { port, what: "JSON-RPC", variable: "EL_HTTP_PORT", udp: false };
        let found = busy(&[named]);
        assert_eq!(found[0].1.as_ref().unwrap().pid, std::process::id());
        let line = line(&found);
        assert!(line.starts_with(&format!("port {port} (JSON-RPC, EL_HTTP_PORT) is in use by ")), "{line}");
        assert!(line.contains(&format!("(process {})", std::process::id())), "{line}");
        drop(listener);
        assert_eq!(busy(&[named]), []);
    }
}
