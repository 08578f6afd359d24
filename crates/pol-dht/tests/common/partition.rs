//! A network that loses packets: the kernel drops, at the receiving UDP socket, what comes from the other side. Nobody is told, as
//! when a cable is cut; no right is needed, because it is a filter on our own sockets.

use std::{
    collections::BTreeSet,
    os::fd::{BorrowedFd, RawFd},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use socket2::{SockFilter, SockRef};

/// Load the half-word at an absolute place: 0 is the source port, where a filter of a UDP socket begins to see.
const LOAD_HALF: u16 = 0x28;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

fn port(address: &Multiaddr) -> u16 {
    let ports = address.iter().filter_map(|part| if let Protocol::Udp(port) = part { Some(port) } else { None });
    ports.last().unwrap()
}

/// Does something with each of this process's sockets that is bound to one of these ports.
fn each_socket(ports: &BTreeSet<u16>, act: impl Fn(SockRef<'_>)) {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        #[expect(unsafe_code, reason = "a descriptor of the library's socket, which it does not give away")]
        // SAFETY: the number was listed a moment ago; were it closed since, the calls below would fail with an error or, at worst, set
        // a filter on a socket of this test that was opened in between. No memory is involved.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = SockRef::from(&fd);
        let local = socket.local_addr().ok().and_then(|address| address.as_socket());
        let is_udp = socket.r#type().is_ok_and(|kind| kind == socket2::Type::DGRAM);
        if let Some(port) = local.map(|address| address.port()).filter(|port| is_udp && ports.contains(port)) {
            act(socket);
            found.insert(port);
        }
    }
    assert_eq!(found, *ports, "each node has a socket");
}

/// Two sides that do not hear each other while this value lives.
pub(crate) struct Partition {
    sides: [BTreeSet<u16>; 2],
}

impl Partition {
    /// Cuts all links between nodes at these addresses, which must be of this process.
    pub(crate) fn cut(one: &[Multiaddr], other: &[Multiaddr]) -> Self {
        let sides = [one, other].map(|side| side.iter().map(port).collect::<BTreeSet<u16>>());
        for (deaf, unheard) in [(&sides[0], &sides[1]), (&sides[1], &sides[0])] {
            let mut program = vec![SockFilter::new(LOAD_HALF, 0, 0, 0)];
            for port in unheard {
                program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(*port)));
                program.push(SockFilter::new(RETURN, 0, 0, 0));
            }
            program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
            each_socket(deaf, |socket| socket.attach_filter(&program).unwrap());
        }
        Self { sides }
    }

    /// Mends all links.
    pub(crate) fn heal(self) {}
}

impl Drop for Partition {
    fn drop(&mut self) {
        for side in &self.sides {
            // The library has two descriptors of each socket: at the second there is nothing left to remove.
            each_socket(side, |socket| socket.detach_filter().unwrap_or_default());
        }
    }
}
