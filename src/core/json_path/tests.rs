//! Which paths are accepted, that those cost little, and what they find.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

#[test]
fn a_path_finds_one_value_or_says_how_many() {
    let conditions = json!([{"type": "A", "status": "True"}, {"type": "B", "status": "False"}]);
    let document = json!({"status": {"phase": "Successful", "n": 3, "conditions": conditions}});
    for (path, found) in [
        ("$.status.phase", Ok("Successful")),
        ("$['status']['n']", Ok("3")),
        ("$.status.conditions[?@.type == 'B'].status", Ok("False")),
        ("$.status.conditions[0]", Ok(r#"{"status":"True","type":"A"}"#)),
        ("$.status.nothing", Err(NotOne::NoValue)),
        ("$.status.conditions[*].status", Err(NotOne::SeveralValues)),
    ] {
        let path = SinglePath::parse(path).unwrap();
        assert_eq!(path.find(&document).map(|value| text_of(value).into_owned()), found.map(str::to_owned), "{}", path.shown());
    }
    assert!(SinglePath::parse("status.phase").unwrap_err().starts_with("is not a JSON path of RFC 9535, such as $.database.connected"));
}

#[test]
fn how_far_a_path_reaches_and_where_it_begins_is_known() {
    for (path, reach, top) in [
        ("$.status.phase", Reach::Direct, Some("status")),
        ("$.status['a:b*?'][0]", Reach::Direct, Some("status")),
        ("$['status'].phase", Reach::Direct, None),
        ("$", Reach::Direct, None),
        ("$.data", Reach::Direct, Some("data")),
        ("$.status.conditions[?@.type == 'A'].status", Reach::OneFilter, Some("status")),
        ("$.status.conditions[?@.type == 'A' && @.x].status", Reach::Wide, Some("status")),
        ("$.status.conditions[?@.a[?@.b]].status", Reach::Wide, Some("status")),
        ("$.status[*]", Reach::Wide, Some("status")),
        ("$.*", Reach::Wide, None),
        ("$..a", Reach::Wide, None),
        ("$.status[1:2]", Reach::Wide, Some("status")),
    ] {
        let path = SinglePath::parse(path).unwrap();
        assert_eq!((path.reach(), path.top()), (reach, top), "{}", path.shown());
    }
}

#[test]
fn the_size_of_a_document_is_looked_at_no_further_than_needed() {
    let document = json!({"a": [1, 2, 3], "b": {"c": null}});
    assert!(exceeds(&document, 6) && !exceeds(&document, 7));
    assert!(!exceeds(&json!(1), 1) && exceeds(&json!(1), 0));
}

#[test]
fn a_json_path_that_costs_too_much_is_refused() {
    for path in [
        "$..*..*".to_owned(),
        format!("${}", "[0,0]".repeat(100)),
        "$[?match(@, '(a{1000}){1000}')]".to_owned(),
        "$[?$..a]".to_owned(),
        "$..[?@.a]".to_owned(),
        "$[?@..a]".to_owned(),
        format!("$[?{}@.a{}]", "(".repeat(400), ")".repeat(400)),
        format!("$[?{}", "(".repeat(1000)),
        format!("${}", "[?@".repeat(300)),
        "x".repeat(1025),
        String::new(),
    ] {
        assert!(SinglePath::parse(&path).is_err(), "{path}");
    }
    for path in [
        "$",
        "$.a['b,c..$'].d",
        "$[\"a\\\",$\"]",
        "$..a",
        "$.list[?@.name == 'x'].v[*]",
        "$[?(@.a == 1 && (@.b == 'c' || !@.d))].e",
        "$[-1]",
        "$[1:2]",
    ] {
        assert!(SinglePath::parse(path).is_ok(), "{path}");
    }
}

#[test]
fn brackets_do_not_make_the_path_parser_slow() {
    for inner in ["(", "!(", "!", "[?@", "@[?", "length(", "count(@["] {
        for path in [format!("$[?{}", inner.repeat(1000 / inner.len())), format!("$[?{}@.a", inner.repeat(5))] {
            let started = crate::clock::instant();
            let _ = SinglePath::parse(&path);
            let took = crate::clock::instant().duration_since(started);
            assert!(took < Duration::from_secs(2), "{took:?} {path}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_path_or_none(text in any::<String>(), path in "[$.@*?'a-c0-2(),:=<&|!-]{0,24}|\\$(\\.[a-c]|\\[[0-2]\\]|\\[\\?@\\.[a-c]\\]|\\[\\*\\]){0,6}") {
        let document = json!({"a": [{"b": 1, "c": [1, 2]}, 2], "b": {"a": {"c": null}}});
        for source in [text, path] {
            if let Ok(path) = SinglePath::parse(&source) {
                let _ = path.find(&document);
            }
        }
    }
}
