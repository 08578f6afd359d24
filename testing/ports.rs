//! Ports for the processes that tests start; a module of each test that needs some.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below the ports that the system gives to outgoing connections, which could take one between here and its use.
const FIRST: u32 = 12_000;
const COUNT: u32 = 18_000;
/// Each process of a test run begins somewhere else.
const PER_PROCESS: u32 = 16;

static NEXT: AtomicU32 = AtomicU32::new(0);

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// So many ports in a row, TCP and UDP, that nobody has.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    loop {
        let begin = NEXT.fetch_add(u32::try_from(N).unwrap(), Ordering::Relaxed);
        let at = |i: usize| (process::id() * PER_PROCESS + begin + u32::try_from(i).unwrap()) % COUNT;
        let ports: [u16; N] = std::array::from_fn(|i| u16::try_from(FIRST + at(i)).unwrap());
        if ports.iter().all(|port| is_free(*port)) {
            return ports;
        }
    }
}
