use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text:?} {error}"))
}

#[test]
fn every_form_of_kubernetes_is_read_exactly() {
    for (text, exact) in [
        ("0", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("-1", "-1"),
        ("-0", "0"),
        ("007", "7"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.50", "1.5"),
        ("500m", "0.5"),
        ("0.1m", "0.0001"),
        ("1n", "0.000000001"),
        ("10u", "0.00001"),
        ("3k", "3000"),
        ("3M", "3000000"),
        ("3G", "3000000000"),
        ("3T", "3000000000000"),
        ("3P", "3000000000000000"),
        ("3E", "3000000000000000000"),
        ("1Ki", "1024"),
        ("1.5Ki", "1536"),
        ("1Mi", "1048576"),
        ("16Gi", "17179869184"),
        ("1Ti", "1099511627776"),
        ("1Pi", "1125899906842624"),
        ("7Ei", "8070450532247928832"),
        ("0.5000000000000000000000000000000000000000Ei", "576460752303423488"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1.5e+2", "150"),
        ("15E-1", "1.5"),
        ("0e999999999", "0"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775807", "-9223372036854775807"),
    ] {
        assert_eq!(parse(text).to_string(), exact, "{text}");
    }
}

#[test]
fn what_is_finer_than_a_billionth_is_rounded_up() {
    for (text, exact) in [
        ("0.1n", "0.000000001"),
        ("1.1n", "0.000000002"),
        ("1e-300", "0.000000001"),
        ("0.000000000000000000000000000000000000000000001", "0.000000001"),
        ("-0.1n", "-0.000000001"),
        ("0.0000000001Ki", "0.000000103"),
    ] {
        assert_eq!(parse(text).to_string(), exact, "{text}");
    }
}

#[test]
fn what_is_not_a_quantity_or_too_large_is_told_apart() {
    for text in [
        "", " ", "-", "+", ".", "-.", "1..2", "1.2.3", "abc", "1K", "1ki", "1KI", "1Kib", "1mm", "1 Gi", " 1", "1 ", "1e", "1E+", "1e1.5",
        "1e 3", "0x10", "٣", "1,5", "--1", "+-1", "Gi", "NaN", "inf", "1\u{0}",
    ] {
        assert_eq!(Quantity::parse(text), Err(QuantityError::Malformed), "{text:?}");
    }
    let nines = "9".repeat(64);
    for text in ["1e300", "1e19", "1e99999999999999999999", "9223372036854775808", "8Ei", "10E", &nines, &format!("{nines}9")] {
        assert_eq!(Quantity::parse(text), Err(QuantityError::OutOfRange), "{text:?}");
    }
}

#[test]
fn amounts_are_shown_as_people_write_them_and_never_as_more_than_they_are() {
    for (resource, text, shown) in [
        ("cpu", "3500m", "3.5"),
        ("cpu", "8", "8"),
        ("cpu", "1.23456", "1.234"),
        ("requests.cpu", "-1.5", "-1.5"),
        ("pods", "110", "110"),
        ("nvidia.com/gpu", "4", "4"),
        ("memory", "17179869184", "16Gi"),
        ("memory", "16Gi", "16Gi"),
        ("memory", "17179869183", "15.99Gi"),
        ("memory", "1023", "1023"),
        ("memory", "0", "0"),
        ("memory", "-2Gi", "-2Gi"),
        ("hugepages-2Mi", "512Mi", "512Mi"),
        ("limits.memory", "1.5Ki", "1.5Ki"),
        ("requests.storage", "100Gi", "100Gi"),
        ("gold.storageclass.storage.k8s.io/requests.storage", "1Ti", "1Ti"),
        ("gold.storageclass.storage.k8s.io/persistentvolumeclaims", "1024", "1024"),
        ("requests.nvidia.com/gpu", "1024", "1024"),
    ] {
        assert_eq!(parse(text).shown(resource), shown, "{resource} {text}");
    }
}

fn headroom(value: &IntOrString) -> Result<Headroom, String> {
    let mut problems = Vec::new();
    Headroom::parse(value, "spec.free", &mut problems).ok_or_else(|| problems[0].to_string())
}

fn text(text: &str) -> IntOrString {
    IntOrString::String(text.to_owned())
}

#[test]
fn headroom_is_an_amount_or_a_percentage() {
    for (value, written, percentage) in
        [(IntOrString::Int(4), "4", false), (text("16Gi"), "16Gi", false), (text("500m"), "500m", false), (text("20%"), "20%", true)]
    {
        let read = headroom(&value).unwrap();
        assert_eq!((read.to_string().as_str(), read.is_percentage()), (written, percentage));
    }
    for (value, says) in [
        (IntOrString::Int(0), "\"0\" must be more than nothing"),
        (IntOrString::Int(-1), "\"-1\" must be more than nothing"),
        (text("0Gi"), "must be more than nothing"),
        (text(""), "is not a quantity"),
        (text("lots"), "\"lots\" is not a quantity, such as 500m, 2 or 16Gi, nor a percentage"),
        (text("1e300"), "is too large"),
        (text("0%"), "must be a percentage from \"1%\" to \"100%\""),
        (text("101%"), "must be a percentage"),
        (text("1.5%"), "must be a percentage"),
    ] {
        let problem = headroom(&value).unwrap_err();
        assert!(problem.starts_with("spec.free: ") && problem.contains(says), "{problem}");
    }
}

#[test]
fn room_says_what_is_free_of_what_and_what_was_needed() {
    for (free, resource, whole, taken, enough, says) in [
        ("4", "cpu", "8", "4", true, "cpu: 4 of 8 free"),
        ("4", "cpu", "8", "4001m", false, "cpu: 3.999 of 8 free, 4 needed"),
        ("50%", "cpu", "8", "4", true, "cpu: 4 of 8 free"),
        ("51%", "cpu", "8", "4", false, "cpu: 4 of 8 free, 51% needed"),
        ("1%", "nvidia.com/gpu", "0", "0", false, "nvidia.com/gpu: 0 of 0 free, 1% needed"),
        ("100%", "pods", "110", "0", true, "pods: 110 of 110 free"),
        ("16Gi", "memory", "32Gi", "34Gi", false, "memory: 0 of 32Gi free, 2Gi more taken than there is, 16Gi needed"),
        ("7Ei", "memory", "7Ei", "0", true, "memory: 7Ei of 7Ei free"),
    ] {
        let room = headroom(&text(free)).unwrap().judge(resource, parse(whole), parse(taken));
        assert_eq!((room.enough, room.text.as_str()), (enough, says));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn anything_like_a_quantity_is_read_or_refused(text in "[+-]{0,2}[0-9]{0,40}\\.?[0-9]{0,20}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{0,12})?") {
        if let Ok(amount) = Quantity::parse(&text) {
            prop_assert!(amount.billionths.abs() <= MAX);
            prop_assert_eq!(Quantity::parse(&amount.to_string()), Ok(amount), "what is printed is read as the same");
        }
    }

    #[test]
    fn milli_units_and_bytes_add_up_exactly(a in 0_i64..i64::MAX / 4, b in 0_i64..i64::MAX / 4) {
        let (x, y) = (parse(&format!("{a}m")), parse(&format!("{b}m")));
        prop_assert_eq!(x.plus(y), parse(&format!("{}m", a + b)));
        prop_assert_eq!(x.plus(y).minus(y), x);
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
    }

    #[test]
    fn a_binary_unit_is_1024_of_the_next_smaller(count in 0_u32..8_000, step in 1_usize..5) {
        let smaller = parse(&format!("{}{}", u64::from(count) * 1024, BINARY[step]));
        prop_assert_eq!(parse(&format!("{count}{}", BINARY[step + 1])), smaller);
    }

    #[test]
    fn sums_of_anything_and_their_shares_never_overflow(amounts in proptest::collection::vec(any::<i64>(), 0..8), percent in 1_u8..=100) {
        let sum = amounts.iter().filter_map(|n| Quantity::parse(&n.to_string()).ok()).fold(Quantity::ZERO, Quantity::plus);
        let huge = Quantity { billionths: i128::MAX };
        for whole in [sum, huge, Quantity { billionths: i128::MIN }] {
            let room = headroom(&text(&format!("{percent}%"))).unwrap().judge("memory", whole, sum.plus(huge));
            prop_assert!(!room.text.is_empty());
        }
    }
}
