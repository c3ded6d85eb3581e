//! The Service addresses of one control plane.
//!
//! They are loopback addresses, so that what listens on a Service's address is found there without kube-proxy. Two
//! control planes on one machine would collide (both webhooks on 127.66.0.10:443), so each claims a range of its own.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// The port that marks a range as taken; no Service is likely to want it.
const CLAIM_PORT: u16 = 27_966;

/// 127.N.0.0/24, ours for as long as this lives: the claim is a bound port, which the system frees when we end.
#[derive(Debug)]
pub(crate) struct ServiceRange {
    number: u8,
    _claim: TcpListener,
}

impl ServiceRange {
    pub(crate) fn claim() -> Result<ServiceRange> {
        for number in 66..=126 {
            // The last address of the range: the API server never gives it to a Service.
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, number, 0, 255), CLAIM_PORT)) {
                return Ok(ServiceRange { number, _claim: claim });
            }
        }
        Err(Error::NoServiceRange)
    }

    /// As the API server wants it.
    pub(crate) fn cidr(&self) -> String {
        format!("127.{}.0.0/24", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_differ_and_a_dropped_one_is_free_again() {
        let first = ServiceRange::claim().unwrap();
        let second = ServiceRange::claim().unwrap();
        assert_ne!(first.cidr(), second.cidr());
        let freed = first.number;
        drop(first);
        assert!(TcpListener::bind((Ipv4Addr::new(127, freed, 0, 255), CLAIM_PORT)).is_ok());
    }
}
