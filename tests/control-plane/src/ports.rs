//! Free TCP ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// That many different ports that nobody listens on. Another program may take one before it is used: whoever starts a
/// server on it has to try again then.
pub(crate) fn free<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut listeners = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("find a free port"))?;
        *port = listener.local_addr().map_err(Error::io("find a free port"))?.port();
        // Kept open until all are found, so that no port is given out twice.
        listeners.push(listener);
    }
    Ok(ports)
}
