//! Brings up the loopback device of a new network.
//!
//! One netlink message, written by hand: the device is always number 1, and
//! all that has to change is its flag.

use std::io;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `RTM_NEWLINK`: change a device.
const NEW_LINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const ASK_AND_ANSWER: u16 = 1 | 4;
/// `NLMSG_ERROR`: the answer, in which 0 says that it was done.
const ANSWER: u16 = 2;
/// The loopback device's number, in every network.
const LOOPBACK: i32 = 1;
/// `IFF_UP`.
const UP: u32 = 1;

/// Brings it up.
pub(super) fn bring_up() -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    // Of netlink's protocols, the first: routing.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::io::write(&socket, &request())?;
    let mut answer = [0; 256];
    let length = rustix::io::read(&socket, &mut answer)?;
    outcome(&answer[..length])
}

/// The header (length, type, flags, sequence, sender), then the device
/// (family, kind, number, flags, mask of changed flags).
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend([0, 0]);
    body.extend(0u16.to_ne_bytes());
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(UP.to_ne_bytes());
    body.extend(UP.to_ne_bytes());
    let mut message = Vec::new();
    message.extend((16 + u32::try_from(body.len()).unwrap_or_default()).to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(ASK_AND_ANSWER.to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(body);
    message
}

fn outcome(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(ANSWER), Some(0)) => Ok(()),
        (Some(ANSWER), Some(error)) => Err(io::Error::from_raw_os_error(-error)),
        _ => Err(io::Error::other("the kernel's answer about the loopback device is not one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_one_header_and_one_device() {
        let request = request();
        assert_eq!((request.len(), request[0]), (32, 32));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(outcome(&[]).is_err());
        let mut answer = vec![0; 20];
        answer[4] = 2;
        assert!(outcome(&answer).is_ok());
        answer[16..20].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(outcome(&answer).unwrap_err().raw_os_error(), Some(1));
    }
}
