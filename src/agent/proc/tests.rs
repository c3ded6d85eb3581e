use super::*;
use proptest::prelude::*;

const MEMINFO: &str = "MemTotal:       16316412 kB\nMemFree:          512000 kB\nMemAvailable:    8000000 kB\nSwapCached:            0 kB\n\
                       SwapTotal:       2097148 kB\nSwapFree:        1048576 kB\nHugePages_Total:       0\n";

#[test]
fn memory_is_read_in_bytes_and_only_whole() {
    let expected =
        Memory { total: 16_316_412 * 1024, available: 8_000_000 * 1024, swap_total: 2_097_148 * 1024, swap_free: 1_048_576 * 1024 };
    assert_eq!(memory(MEMINFO), Some(expected));
    for missing in ["MemTotal", "MemAvailable", "SwapTotal", "SwapFree"] {
        assert_eq!(memory(&MEMINFO.replace(missing, "Other")), None, "{missing}");
    }
    assert_eq!(memory(&MEMINFO.replace("8000000 kB", "8000000 MB")), None);
    assert_eq!(memory(&MEMINFO.replace("8000000", "-8")), None);
    assert_eq!(memory(&MEMINFO.replace("8000000", "9223372036854775807")), None);
}

#[test]
fn load_and_cpus_are_read() {
    assert_eq!(load_hundredths("0.52 0.58 0.59 1/596 12345\n"), Some(52));
    assert_eq!(load_hundredths("120.07 3.00 1.00 1/2 3"), Some(12_007));
    for odd in ["", "1", "1.5 2", "-1.00", "1.-1", "a.bc", "99999999999999999999.00"] {
        assert_eq!(load_hundredths(odd), None, "{odd:?}");
    }
    assert_eq!((cpus("0-3,8\n"), cpus("0")), (Some(5), Some(1)));
    for odd in ["", "3-0", "-1", "a", "0-", "0-9223372036854775807"] {
        assert_eq!(cpus(odd), None, "{odd:?}");
    }
}

#[test]
fn flags_and_modules_are_read() {
    let x86 = "processor\t: 0\nmodel name\t: CPU: of a kind\nflags\t\t: fpu vmx sse2\n\nprocessor\t: 1\nflags\t\t: fpu svm\n";
    assert_eq!(cpu_flags(x86), Some(["fpu", "sse2", "vmx"].into()));
    assert_eq!(cpu_flags("processor\t: 0\nFeatures\t: fp asimd\n"), Some(["asimd", "fp"].into()));
    assert_eq!(cpu_flags("processor\t: 0\n"), None);
    let loaded = modules("kvm_intel 380928 0 - Live 0x0\nnbd 65536 0 - Live 0x0000000000000000\n");
    assert!(loaded.contains(&module_name("kvm-intel")) && loaded.contains("nbd"));
    assert_eq!(built_in("kernel/fs/ext4/ext4.ko\nkernel/crypto/dh-generic.ko\nodd\n"), ["dh_generic", "ext4"].map(str::to_owned).into());
}

#[test]
fn only_numbers_of_parameters_are_reported() {
    assert_eq!(numbers("262144\n").as_deref(), Some("262144"));
    assert_eq!(numbers("4096\t131072\t6291456\n").as_deref(), Some("4096 131072 6291456"));
    assert_eq!(numbers("-1").as_deref(), Some("-1"));
    for secret in ["", "|/usr/bin/crash %p", "8c4c1a2e-0000-4000-8000-000000000000", "fe80::1", "bbr", "1 two", "-", &"1 ".repeat(40)] {
        assert_eq!(numbers(secret), None, "{secret:?}");
    }
}

const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

fn ports(table: &str, protocol: PortProtocol) -> io::Result<Vec<u16>> {
    let asked = [22, 53, 80, 6443].into();
    let mut found = BTreeSet::new();
    listening(table.as_bytes(), protocol, &asked, &mut found).map(|()| found.into_iter().collect())
}

#[test]
fn listening_ports_are_found_over_both_families() {
    let tcp = format!(
        "{HEADING}   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n   1: 0100007F:192B 00000000:0000 0A 0:0\n   2: 0100007F:9999 00000000:0000 0A 0:0\n   3: 0100007F:0050 0100007F:C350 01 0:0\n   4: 0100007F:0035 00000000:0000 0A 0:0\n"
    );
    assert_eq!(ports(&tcp, PortProtocol::Tcp).unwrap(), [22, 6443], "a connection from port 80 is no listener, and ends the list");
    let six = format!("{HEADING}   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0\n");
    assert_eq!(ports(&six, PortProtocol::Tcp).unwrap(), [80]);
    let udp = format!("{HEADING}  10: 3500007F:0035 00000000:0000 07 0:0\n  11: 0100007F:0016 0100007F:0001 01 0:0\n");
    assert_eq!(ports(&udp, PortProtocol::Udp).unwrap(), [22, 53]);
    assert_eq!(ports(HEADING, PortProtocol::Tcp).unwrap(), [0_u16; 0]);
}

#[test]
fn a_table_that_cannot_be_read_is_no_empty_table() {
    for odd in [String::new(), format!("{HEADING}odd\n"), format!("{HEADING}0: a:zz b:0 0A\n"), format!("{HEADING}{}", "x".repeat(9000))] {
        assert!(ports(&odd, PortProtocol::Tcp).is_err(), "{odd:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}|[0-9A-F:. \n-]{0,200}") {
        let _ = (memory(&text), load_hundredths(&text), cpus(&text), cpu_flags(&text), modules(&text), built_in(&text), numbers(&text));
        let _ = (ports(&text, PortProtocol::Tcp), ports(&format!("{HEADING}{text}"), PortProtocol::Udp));
    }
}
