//! What is printed for the API server is what is decided, on objects that are arbitrary around the fields that presets look at.

use super::*;
use crate::core::presets::term::{Literal, OWNERS, Path};
use proptest::prelude::*;
use std::sync::LazyLock;

struct Subject {
    hold: Arc<Hold>,
    cel: String,
    paths: Vec<Path>,
    users: Vec<String>,
}

static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let catalog = Catalog::default();
    let repositories = ["quay.example/chaos/scenarios".to_owned()];
    let holds = Preset::ALL.into_iter().flat_map(|preset| catalog.holds(preset, &repositories).to_vec());
    holds
        .map(|hold| {
            let (mut paths, mut users) = (vec![OWNERS], vec![USER.to_owned(), account("kube-system/job-controller")]);
            for term in [&hold.create, &hold.update].into_iter().flatten() {
                walk(term, &mut paths, &mut users);
            }
            paths.sort_unstable();
            paths.dedup();
            Subject { cel: hold.cel(), hold, paths, users }
        })
        .collect()
});

/// Texts and members that occur in the terms, so that what is generated comes near them.
static WORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut words: Vec<Value> = Vec::new();
    for subject in SUBJECTS.iter() {
        for term in [&subject.hold.create, &subject.hold.update].into_iter().flatten() {
            literals(term, &mut words);
        }
    }
    words.dedup();
    words
});

fn parts(term: &Term) -> Vec<&Term> {
    match term {
        Term::All(terms) | Term::Any(terms) => terms.iter().collect(),
        Term::Not(term) => vec![&**term],
        _ => Vec::new(),
    }
}

fn walk(term: &Term, paths: &mut Vec<Path>, users: &mut Vec<String>) {
    match term {
        Term::By(known) => users.extend(known.iter().cloned()),
        Term::OneOf(_, path, _) | Term::Absent(_, path) | Term::Narrows(path, _) | Term::Lists(_, path, ..) | Term::Gains(path, ..) => {
            paths.push(path);
        }
        Term::Image(_, lists, _) => paths.extend(*lists),
        _ => parts(term).into_iter().for_each(|part| walk(part, paths, users)),
    }
}

fn literals(term: &Term, words: &mut Vec<Value>) {
    match term {
        Term::OneOf(_, _, known) => words.extend(known.iter().map(|literal| match literal {
            Literal::Text(text) => json!(text),
            Literal::Truth(truth) => json!(truth),
            Literal::Whole(whole) => json!(whole),
        })),
        Term::Controlled(group, kinds) => {
            words.extend(kinds.iter().map(|kind| json!([{"apiVersion": format!("{group}/v1"), "kind": kind, "controller": true}])));
        }
        _ => parts(term).into_iter().for_each(|part| literals(part, words)),
    }
}

fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![
        6 => (0..WORDS.len()).prop_map(|at| WORDS[at].clone()),
        2 => (-1..4_i64).prop_map(|n| json!(n)),
        1 => prop_oneof![Just(json!(1.0)), Just(json!(2.5)), Just(json!(u64::MAX)), Just(json!(i64::MIN))],
        2 => "[0-9]{1,3}%?".prop_map(|text| json!(text)),
        1 => "[a-c%'\\\\]{0,3}".prop_map(|text| json!(text)),
        1 => Just(json!("0000000012%")),
        1 => any::<bool>().prop_map(|b| json!(b)),
        1 => Just(Value::Null),
        1 => Just(json!("shop")),
        2 => "(quay.example/chaos/scenarios|quay.io/krkn-chaos/krkn-hub|krkn-hub|krkn-hub/x|quayxexample/chaos/scenarios|a@b/krkn-hub|r:5000/krkn-hub)(:[a-z/:]{0,3})?(@sha256:[a-f/\\n]{0,3})?"
            .prop_map(|text| json!(text)),
    ]
    .boxed()
}

fn value() -> BoxedStrategy<Value> {
    let key = prop_oneof![Just("a"), Just("b"), Just("action"), Just("image"), Just("controller"), Just("kind"), Just("namespaces")];
    scalar()
        .prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner.clone()), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
                inner.prop_map(|image| json!([{"image": image, "action": "Start"}])),
            ]
        })
        .boxed()
}

/// Sets a field; what is no map on the way is replaced by one, but `metadata` always is one.
fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *object = value;
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    let member = object.as_object_mut().unwrap().entry(*first).or_insert_with(|| json!({}));
    set(member, rest, value);
}

/// Which field, how much of its path, and what is there.
type Change = (prop::sample::Index, bool, Value);

fn change(object: &mut Value, paths: &[Path], (which, cut, value): &Change) {
    let path = which.get(paths);
    let cut = if *cut && path.len() > 1 { path.len() - 1 } else { path.len() };
    if path[..cut] != ["metadata"] {
        set(object, &path[..cut], value.clone());
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.15), value()), 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_is_printed_is_what_is_decided(
        which in any::<prop::sample::Index>(),
        user in any::<prop::sample::Index>(),
        common in changes(),
        of_new in changes(),
        is_update in prop::bool::weighted(0.7),
        namespaced in any::<bool>(),
    ) {
        let subject = which.get(&SUBJECTS[..]);
        let mut old = json!({"metadata": {"name": "x"}, "spec": {}});
        for one in &common {
            change(&mut old, &subject.paths, one);
        }
        let mut new = old.clone();
        for one in &of_new {
            change(&mut new, &subject.paths, one);
        }
        let operation = if is_update { Operation::Update } else { Operation::Create };
        let asked = Asked {
            operation,
            user: user.get::<String>(&subject.users),
            namespace: if namespaced { "shop" } else { "" },
            object: &new,
            old_object: is_update.then_some(&old),
        };
        prop_assert_eq!(evaluate(&subject.cel, &asked), Ok(subject.hold.starts(&asked)), "{} {:?}\n{}\n{}", subject.hold.group, subject.hold.resources, old, new);
    }
}

/// The generator comes near enough to both answers for each entry.
#[test]
fn every_entry_is_seen_to_start_and_to_pass() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let all = (changes(), changes(), any::<prop::sample::Index>());
    for subject in SUBJECTS.iter() {
        let (mut starts, mut passes) = (0, 0);
        for _ in 0..80 {
            let (common, of_new, user) = all.new_tree(&mut runner).unwrap().current();
            let mut old = json!({"metadata": {"name": "x"}, "spec": {}});
            for one in &common {
                change(&mut old, &subject.paths, one);
            }
            let mut new = old.clone();
            for one in &of_new {
                change(&mut new, &subject.paths, one);
            }
            for (operation, old_object) in [(Operation::Create, None), (Operation::Update, Some(&old))] {
                let asked = Asked { operation, user: user.get::<String>(&subject.users), namespace: "shop", object: &new, old_object };
                *(if subject.hold.starts(&asked) { &mut starts } else { &mut passes }) += 1;
            }
        }
        assert!(starts > 0 && passes > 0, "{} {:?}: {starts} starts, {passes} pass", subject.hold.group, subject.hold.resources);
    }
}
