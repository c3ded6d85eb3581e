//! Which addresses a probe may connect to.
//!
//! A probe's address is chosen by whoever may write a check, and the connection is made by the operator, which stands elsewhere in the
//! network. What only the operator's own pod or node can reach is therefore refused: loopback, link-local and metadata addresses, and
//! what is no single host at all. Private ranges and Services' addresses are allowed: they are what checks are for.
//!
//! An address is judged by where its packets would end: an IPv6 address that carries an IPv4 address is judged as that one.

use super::text::single_line;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses a probe may connect to. The default refuses what is refused unless allowed, and allows nothing more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Networks that are allowed whatever else says no, from `--allow-cidr`.
    pub allow: Vec<IpNet>,
    /// Addresses that are refused besides those that always are: the API server's and the operator's own.
    pub refuse: Vec<IpAddr>,
}

/// An address that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ip} is {why}")]
pub struct Denied {
    /// The address, as it was asked for.
    pub ip: IpAddr,
    /// What it is, such as `a loopback address`.
    pub why: &'static str,
}

impl Denied {
    /// The narrowest network whose `--allow-cidr` would allow the address.
    pub fn remedy(&self) -> IpNet {
        IpNet::from(destination(self.ip))
    }
}

impl NetworkPolicy {
    /// A policy that allows these networks besides what is allowed anyway.
    pub fn allowing(allow: Vec<IpNet>) -> Self {
        Self { allow, refuse: Vec::new() }
    }

    /// Says whether a probe may connect to an address.
    pub fn judge(&self, ip: IpAddr) -> Result<(), Denied> {
        let end = destination(ip);
        if self.allow.iter().any(|net| net.contains(&end)) {
            return Ok(());
        }
        let why = match end {
            IpAddr::V4(v4) => REFUSED_V4.iter().find(|(net, _)| net.contains(&v4)).map(|(_, why)| *why),
            IpAddr::V6(v6) => REFUSED_V6.iter().find(|(net, _)| net.contains(&v6)).map(|(_, why)| *why),
        };
        let why = why.or_else(|| self.refuse.iter().any(|own| destination(*own) == end).then_some(OWN));
        why.map_or(Ok(()), |why| Err(Denied { ip, why }))
    }
}

const LOOPBACK: &str = "a loopback address";
const LINK_LOCAL: &str = "a link-local address";
const METADATA: &str = "a cloud metadata address";
const UNSPECIFIED: &str = "an unspecified address";
const MULTICAST: &str = "a multicast address";
const BROADCAST: &str = "the broadcast address";
const RESERVED: &str = "a reserved address";
const UNTELLABLE: &str = "a translated address whose end cannot be told";
const OWN: &str = "an address of the API server or of the operator itself";

// The first match names the reason, so the single addresses come first.
const REFUSED_V4: &[(Ipv4Net, &str)] = &[
    // AWS, Google Cloud, Azure, Oracle, OpenStack, DigitalOcean, Hetzner.
    (v4([169, 254, 169, 254], 32), METADATA),
    // Credentials of ECS tasks and EKS pods.
    (v4([169, 254, 170, 2], 32), METADATA),
    (v4([169, 254, 170, 23], 32), METADATA),
    // Alibaba Cloud.
    (v4([100, 100, 100, 200], 32), METADATA),
    // Azure's wire server, which hands out certificates and extension settings.
    (v4([168, 63, 129, 16], 32), METADATA),
    // Oracle Cloud Classic.
    (v4([192, 0, 0, 192], 32), METADATA),
    (v4([127, 0, 0, 0], 8), LOOPBACK),
    (v4([169, 254, 0, 0], 16), LINK_LOCAL),
    // Linux connects 0.0.0.0 to itself.
    (v4([0, 0, 0, 0], 8), UNSPECIFIED),
    (v4([224, 0, 0, 0], 4), MULTICAST),
    (v4([255, 255, 255, 255], 32), BROADCAST),
    (v4([240, 0, 0, 0], 4), RESERVED),
];

const REFUSED_V6: &[(Ipv6Net, &str)] = &[
    // AWS: instance metadata, credentials of EKS pods.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128), METADATA),
    // Google Cloud, Oracle Cloud, Scaleway.
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), METADATA),
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), METADATA),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), UNSPECIFIED),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
    // NAT64 of local use (RFC 8215): where the IPv4 address sits in it is each site's own choice.
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), UNTELLABLE),
];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}

/// Where packets to an address end: the IPv4 address inside an IPv6 address that carries one, else the address itself.
fn destination(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let joined = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    let inside = match v6.segments() {
        // `::` and `::1` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible, IPv4-mapped, IPv4-translated, NAT64.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(joined(high, low))
        }
        // 6to4.
        [0x2002, high, low, ..] => Some(joined(high, low)),
        // Teredo: the client's address, inverted.
        [0x2001, 0, .., high, low] => Some(joined(!high, !low)),
        _ => None,
    };
    inside.map_or(ip, IpAddr::V4)
}

/// Parses the value of `--allow-cidr`.
pub fn parse_allow(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let shown = single_line(text, 64);
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Err(format!("\"{shown}\" has no prefix length: for this one address write {}", IpNet::from(destination(ip))));
    }
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(format!(
            "\"{shown}\" is not a network: write its address, a slash and the prefix length (0 to 32, for IPv6 0 to 128), such as 10.0.0.0/8"
        ));
    };
    if destination(net.network()) != net.network() {
        return Err(format!("\"{shown}\" is an IPv6 form of IPv4 addresses: write the IPv4 network itself, such as 10.0.0.0/8"));
    }
    if net.trunc() != net {
        return Err(format!(
            "\"{shown}\" has bits set after the prefix: write the network address, {}, or {} for this one address",
            net.trunc(),
            IpNet::from(net.addr())
        ));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Every IPv6 address that carries an IPv4 address.
    fn forms(v4: Ipv4Addr) -> Vec<IpAddr> {
        let [high, low] = [(u32::from(v4) >> 16) as u16, (u32::from(v4) & 0xffff) as u16];
        [
            [0, 0, 0, 0, 0, 0, high, low],
            [0, 0, 0, 0, 0, 0xffff, high, low],
            [0, 0, 0, 0, 0xffff, 0, high, low],
            [0x64, 0xff9b, 0, 0, 0, 0, high, low],
            [0x2002, high, low, 0, 0, 0, 0, 1],
            [0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, !high, !low],
        ]
        .map(|segments| IpAddr::from(Ipv6Addr::from(segments)))
        .to_vec()
    }

    #[test]
    fn what_only_the_operator_can_reach_is_refused_by_default() {
        for (text, why) in [
            ("127.0.0.1", LOOPBACK),
            ("127.255.255.255", LOOPBACK),
            ("::1", LOOPBACK),
            ("0.0.0.0", UNSPECIFIED),
            ("0.1.2.3", UNSPECIFIED),
            ("::", UNSPECIFIED),
            ("169.254.0.1", LINK_LOCAL),
            ("fe80::1", LINK_LOCAL),
            ("fe80::5efe:10.0.0.1", LINK_LOCAL),
            ("febf::1", LINK_LOCAL),
            ("169.254.169.254", METADATA),
            ("169.254.170.2", METADATA),
            ("100.100.100.200", METADATA),
            ("168.63.129.16", METADATA),
            ("192.0.0.192", METADATA),
            ("fd00:ec2::254", METADATA),
            ("fd20:ce::254", METADATA),
            ("224.0.0.1", MULTICAST),
            ("239.255.255.255", MULTICAST),
            ("ff02::1", MULTICAST),
            ("255.255.255.255", BROADCAST),
            ("240.0.0.1", RESERVED),
            ("64:ff9b:1::a00:1", UNTELLABLE),
            ("::ffff:127.0.0.1", LOOPBACK),
            ("64:ff9b::a9fe:a9fe", METADATA),
            ("2002:7f00:1::", LOOPBACK),
        ] {
            assert_eq!(NetworkPolicy::default().judge(ip(text)), Err(Denied { ip: ip(text), why }), "{text}");
        }
    }

    #[test]
    fn private_networks_services_and_the_internet_are_allowed() {
        for text in [
            "10.96.0.10",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "8.8.8.8",
            "fd00::1",
            "2606:4700::1111",
            "::ffff:10.0.0.1",
            "64:ff9b::808:808",
            "128.0.0.1",
            "126.255.255.255",
            "1.0.0.0",
            "223.255.255.255",
            "169.253.255.255",
        ] {
            assert_eq!(NetworkPolicy::default().judge(ip(text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_allowed_network_allows_its_addresses_in_every_form_and_no_others() {
        let policy = NetworkPolicy::allowing(vec![parse_allow("127.0.0.0/30").unwrap(), parse_allow("::1/128").unwrap()]);
        for form in forms(Ipv4Addr::LOCALHOST) {
            assert_eq!(policy.judge(form), Ok(()), "{form}");
        }
        assert_eq!(policy.judge(ip("::1")), Ok(()));
        assert!(policy.judge(ip("127.0.0.4")).is_err());
        assert!(policy.judge(ip("169.254.169.254")).is_err());
        assert!(policy.judge(ip("::")).is_err());
    }

    #[test]
    fn all_of_ipv6_allowed_does_not_allow_ipv4_in_disguise() {
        let policy = NetworkPolicy::allowing(vec![parse_allow("::/0").unwrap()]);
        assert_eq!(policy.judge(ip("fe80::1")), Ok(()));
        assert!(policy.judge(ip("::ffff:169.254.169.254")).is_err());
    }

    #[test]
    fn own_addresses_are_refused_in_every_form_unless_allowed() {
        let own = NetworkPolicy { allow: vec![], refuse: vec![ip("10.96.0.1")] };
        for form in forms(Ipv4Addr::new(10, 96, 0, 1)) {
            assert_eq!(own.judge(form), Err(Denied { ip: form, why: OWN }));
        }
        assert_eq!(own.judge(ip("10.96.0.2")), Ok(()));
        assert_eq!(NetworkPolicy { allow: vec![parse_allow("10.96.0.1/32").unwrap()], ..own }.judge(ip("10.96.0.1")), Ok(()));
    }

    #[test]
    fn a_refusal_names_the_network_to_allow() {
        let denied = NetworkPolicy::default().judge(ip("::ffff:127.0.0.1")).unwrap_err();
        assert_eq!(denied.to_string(), "::ffff:127.0.0.1 is a loopback address");
        assert_eq!(denied.remedy().to_string(), "127.0.0.1/32");
    }

    #[test]
    fn a_bad_network_is_refused_with_what_would_be_right() {
        for (text, says) in [
            ("127.0.0.1", "\"127.0.0.1\" has no prefix length: for this one address write 127.0.0.1/32"),
            ("::ffff:127.0.0.1", "\"::ffff:127.0.0.1\" has no prefix length: for this one address write 127.0.0.1/32"),
            (
                "10.1.2.3/8",
                "\"10.1.2.3/8\" has bits set after the prefix: write the network address, 10.0.0.0/8, or 10.1.2.3/32 for this one address",
            ),
            (
                "::ffff:10.0.0.0/104",
                "\"::ffff:10.0.0.0/104\" is an IPv6 form of IPv4 addresses: write the IPv4 network itself, such as 10.0.0.0/8",
            ),
        ] {
            assert_eq!(parse_allow(text), Err(says.to_owned()));
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "/8", "10.0.0.0/8/8", "10.0/8", "fe80::/129", "a\nb"] {
            let message = parse_allow(text).unwrap_err();
            assert!(message.contains("is not a network") && message.contains("10.0.0.0/8") && !message.contains('\n'), "{message}");
        }
        for text in ["10.0.0.0/8", " 127.0.0.1/32 ", "::/0", "::1/128", "fd00::/8", "0.0.0.0/0"] {
            assert!(parse_allow(text).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_judged_alike_in_every_form(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let policy = NetworkPolicy::default();
            for form in forms(v4).into_iter().filter(|form| !matches!(form, IpAddr::V6(Ipv6Addr::UNSPECIFIED | Ipv6Addr::LOCALHOST))) {
                prop_assert_eq!(policy.judge(form).map_err(|denied| denied.why), policy.judge(v4.into()).map_err(|denied| denied.why));
            }
        }

        #[test]
        fn every_form_of_a_refused_ipv4_address_is_refused(pick in 0..REFUSED_V4.len(), bits in any::<u32>()) {
            let net = REFUSED_V4[pick].0;
            let v4 = Ipv4Addr::from(u32::from(net.network()) | bits & u32::from(net.hostmask()));
            for form in forms(v4) {
                prop_assert!(NetworkPolicy::default().judge(form).is_err(), "{form}");
            }
        }

        #[test]
        fn any_text_is_a_network_or_a_one_line_message(text in any::<String>()) {
            if let Err(message) = parse_allow(&text) {
                prop_assert!(!message.chars().any(char::is_control));
            }
        }

        #[test]
        fn what_is_accepted_comes_back_as_written(bits in any::<u32>(), prefix in 0_u8..=32) {
            let net = Ipv4Net::new(Ipv4Addr::from(bits), prefix).unwrap().trunc();
            prop_assert_eq!(parse_allow(&net.to_string()), Ok(IpNet::V4(net)));
        }
    }
}
