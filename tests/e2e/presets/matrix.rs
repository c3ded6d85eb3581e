//! The rows of a tool: tests/e2e/presets/TOOL.yaml. Each says what is done to which kind by whom, and whether a closed gate holds it.
//! A row is done in every served version, in every way in which a client can do it, by everybody that it names.

use futures::StreamExt;
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

use super::merging::{difference, merge, operations};
use super::requests::{Answer, Caller, Form};

/// How many cases are under way at once.
const AT_ONCE: usize = 8;

/// A tool's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Who may be named in rows, besides `user`, somebody, and `lookalike`, an account of the namespace with the name of the tool's
    /// controller: `controller` and others, as namespace/name.
    accounts: BTreeMap<String, String>,
    kinds: BTreeMap<String, Kind>,
    /// What owns what rows make, by kind: made before the gate.
    #[serde(default)]
    parents: BTreeMap<String, Value>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kind {
    group: String,
    resource: String,
    /// The stored one first.
    versions: Vec<String>,
    /// If not the name in this file.
    named: Option<String>,
    #[serde(default)]
    cluster_scoped: bool,
    /// Has a status subresource.
    #[serde(default)]
    status: bool,
    /// What all objects have.
    #[serde(default = "nothing")]
    base: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// What a closed gate holds.
    held: Option<String>,
    /// What it does not.
    passes: Option<String>,
    /// One of `kinds`, or several.
    kind: OneOrMore,
    #[serde(default = "user")]
    by: OneOrMore,
    /// Before the gate closes; nothing: it is created.
    old: Option<Value>,
    /// After; nothing: it is deleted.
    new: Option<Value>,
    /// A subresource.
    via: Option<String>,
    /// Not in all ways.
    how: Option<Vec<How>>,
    owner: Option<Owner>,
    /// It is being deleted, and waits for a finalizer.
    #[serde(default)]
    deleting: bool,
}

/// An owner reference to one of `parents`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    kind: String,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A way to do it.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Create,
    /// A create with a generated name.
    Generate,
    /// Server-side apply, also of what is not there.
    Apply,
    Replace,
    Merge,
    Json,
    Delete,
}

/// One request.
struct Case<'m> {
    name: String,
    row: &'m Row,
    kind: &'m str,
    version: &'m str,
    by: &'m str,
    how: How,
}

/// Where rows are done, and as whom.
pub struct Place<'p> {
    pub namespace: &'p str,
    pub kubeconfig: &'p Path,
    /// Nobody but a test of this name has its objects, where names are the cluster's.
    pub prefix: &'p str,
}

/// A matrix in a namespace, with what rows start from.
pub struct Laid<'m> {
    matrix: &'m Matrix,
    namespace: String,
    callers: BTreeMap<String, Caller>,
    owner: Caller,
    parents: BTreeMap<String, Value>,
    cases: Vec<Case<'m>>,
}

/// What a closed gate should do.
#[derive(Clone, Copy)]
pub enum Closed {
    /// The operator answers.
    Asked,
    /// The operator is not there.
    Unasked,
}

fn nothing() -> Value {
    json!({})
}

fn user() -> OneOrMore {
    OneOrMore::One("user".to_owned())
}

impl OneOrMore {
    fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(more) => more,
        }
        .iter()
        .map(String::as_str)
    }
}

impl Row {
    fn what(&self) -> &str {
        self.held.as_deref().or(self.passes.as_deref()).unwrap()
    }

    fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// All ways to do it.
    fn ways(&self) -> Vec<How> {
        let all = match (&self.old, &self.new, self.via.as_deref()) {
            (None, ..) => &[How::Create, How::Generate, How::Apply][..],
            (_, None, _) => &[How::Delete],
            (.., Some("scale")) => &[How::Replace, How::Merge, How::Json],
            _ => &[How::Replace, How::Merge, How::Json, How::Apply],
        };
        self.how.clone().unwrap_or_else(|| all.to_vec())
    }
}

impl Matrix {
    pub fn read(tool: &str) -> Matrix {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/e2e/presets/{tool}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let matrix: Matrix = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for row in &matrix.rows {
            assert!(row.held.is_some() != row.passes.is_some(), "{tool}: a row is either held or passes");
            let unknown = row.kind.iter().find(|kind| !matrix.kinds.contains_key(*kind));
            assert!(unknown.is_none(), "{tool}: {}: there is no kind {unknown:?}", row.what());
        }
        matrix
    }

    /// The users who do something, with the names of the API server.
    pub fn users(&self, namespace: &str) -> BTreeMap<String, String> {
        let account = |of: &str, name: &str| format!("system:serviceaccount:{of}:{name}");
        let mut users = BTreeMap::from([("user".to_owned(), "somebody".to_owned())]);
        for (role, path) in &self.accounts {
            let (of, name) = path.split_once('/').unwrap();
            users.insert(role.clone(), account(of, name));
            if role == "controller" {
                users.insert("lookalike".to_owned(), account(namespace, name));
            }
        }
        users
    }

    /// Whether some row is about this resource, or its subresource after a slash, and is held, or passes.
    pub fn has(&self, group: &str, resource: &str, held: bool) -> bool {
        let (resource, via) = resource.split_once('/').map_or((resource, None), |(resource, via)| (resource, Some(via)));
        let is_it = |kind: &str| self.kinds[kind].group == group && self.kinds[kind].resource == resource;
        self.rows.iter().any(|row| row.is_held() == held && row.via.as_deref() == via && row.kind.iter().any(is_it))
    }

    fn cases(&self, prefix: &str) -> Vec<Case<'_>> {
        let mut cases = Vec::new();
        for row in &self.rows {
            for kind in row.kind.iter() {
                for version in &self.kinds[kind].versions {
                    for by in row.by.iter() {
                        for how in row.ways() {
                            let name = format!("{prefix}-{}", cases.len());
                            cases.push(Case { name, row, kind, version, by, how });
                        }
                    }
                }
            }
        }
        cases
    }

    /// Makes what rows start from.
    pub async fn lay<'m>(&'m self, place: &Place<'_>) -> Laid<'m> {
        let mut callers = BTreeMap::new();
        for (role, user) in self.users(place.namespace) {
            callers.insert(role, Caller::new(place.kubeconfig, Some(&user)).await);
        }
        let owner = Caller::new(place.kubeconfig, None).await;
        let cases = self.cases(place.prefix);
        let mut laid = Laid { matrix: self, namespace: place.namespace.to_owned(), callers, owner, parents: BTreeMap::new(), cases };
        for (kind, part) in &self.parents {
            let object = laid.object(kind, &self.kinds[kind].versions[0], &format!("{}-parent", place.prefix), part);
            let made = laid.owner.post(&laid.path(kind, &self.kinds[kind].versions[0], None), &object).await;
            laid.parents.insert(kind.clone(), made.admitted());
        }
        stream::iter(laid.cases.iter().filter(|case| case.row.old.is_some())).for_each_concurrent(AT_ONCE, |case| laid.make(case)).await;
        laid
    }
}

impl Laid<'_> {
    /// Does everything while the gate is closed; what did not go as it should.
    pub async fn closed(&self, closed: Closed) -> Vec<String> {
        self.each(
            |_| true,
            |case, answer| match (case.row.is_held(), answer, closed) {
                (false, Answer::Admitted(_), _) | (true, Answer::Held(_), Closed::Asked) | (true, Answer::Unasked(_), Closed::Unasked) => {
                    None
                }
                (held, answer, _) => Some((if held { "was to be held" } else { "was to pass" }, answer.said())),
            },
        )
        .await
    }

    /// Does all that was held again, once the gate is open; what did not go through.
    pub async fn open(&self) -> Vec<String> {
        self.each(
            |case| case.row.is_held(),
            |_, answer| match answer {
                Answer::Admitted(_) => None,
                answer => Some(("was to pass, the gate is open", answer.said())),
            },
        )
        .await
    }

    /// How many requests are held and pass.
    pub fn counts(&self) -> (usize, usize) {
        let held = self.cases.iter().filter(|case| case.row.is_held()).count();
        (held, self.cases.len() - held)
    }

    /// The kinds whose creation is held that are not held yet: a webhook configuration takes effect a moment after it was written.
    pub async fn not_held_yet(&self) -> Vec<String> {
        let mut kinds = BTreeMap::new();
        let creations = self.cases.iter().filter(|case| case.row.is_held() && case.how == How::Create);
        for case in creations {
            kinds.entry((case.kind, case.version)).or_insert(case);
        }
        let mut not_yet = Vec::new();
        for case in kinds.into_values() {
            let object = self.creation(case);
            let answer = self.callers[case.by].rehearse(&self.path(case.kind, case.version, None), &object).await;
            if !matches!(answer, Answer::Held(_)) {
                not_yet.push(format!("{} {}: {}", case.kind, case.version, answer.said()));
            }
        }
        not_yet
    }

    async fn each(
        &self,
        which: impl Fn(&Case<'_>) -> bool,
        wrong: impl Fn(&Case<'_>, Answer) -> Option<(&'static str, String)>,
    ) -> Vec<String> {
        let cases = self.cases.iter().filter(|case| which(case));
        let mut answers: Vec<_> =
            stream::iter(cases).map(async |case| (case, self.request(case).await)).buffer_unordered(AT_ONCE).collect().await;
        answers.sort_by_key(|(case, _)| case.name.clone());
        let lines = answers.into_iter().filter_map(|(case, answer)| {
            let (expected, said) = wrong(case, answer)?;
            let Case { row, kind, version, by, how, .. } = case;
            let via = row.via.as_ref().map(|via| format!("/{via}")).unwrap_or_default();
            Some(format!("{kind}{via} {version} {how:?} by {by}: «{}» {expected}: {said}", row.what()))
        });
        lines.collect()
    }

    /// Makes what a case starts from.
    async fn make(&self, case: &Case<'_>) {
        let kind = &self.matrix.kinds[case.kind];
        let version = &kind.versions[0];
        let object = self.owned(self.object(case.kind, version, &case.name, case.row.old.as_ref().unwrap()), case.row);
        let path = self.path(case.kind, version, Some(&case.name));
        self.owner.amend(&path, Form::Apply, &object).await.admitted();
        if kind.status && !object["status"].is_null() {
            self.owner.amend(&format!("{path}/status"), Form::Apply, &object).await.admitted();
        }
        if case.row.deleting {
            self.owner.delete(&path).await.admitted();
        }
    }

    fn creation(&self, case: &Case<'_>) -> Value {
        self.owned(self.object(case.kind, case.version, &case.name, case.row.new.as_ref().unwrap()), case.row)
    }

    async fn request(&self, case: &Case<'_>) -> Answer {
        let caller = &self.callers[case.by];
        let collection = self.path(case.kind, case.version, None);
        let path = self.path(case.kind, case.version, Some(&case.name));
        match (&case.row.old, &case.row.new, case.how) {
            (None, _, How::Create) => caller.post(&collection, &self.creation(case)).await,
            (None, _, How::Generate) => {
                let mut object = self.creation(case);
                let metadata = object["metadata"].as_object_mut().unwrap();
                metadata.remove("name");
                metadata.insert("generateName".to_owned(), format!("{}-", case.name).into());
                caller.post(&collection, &object).await
            }
            (None, _, _) => caller.amend(&path, Form::Apply, &self.creation(case)).await,
            (_, None, _) => caller.delete(&path).await,
            (Some(old), Some(new), _) => self.change(case, old, new).await,
        }
    }

    /// Makes the new object of the old one; again if a controller was faster.
    async fn change(&self, case: &Case<'_>, old: &Value, new: &Value) -> Answer {
        let caller = &self.callers[case.by];
        let via = case.row.via.as_ref().map(|via| format!("/{via}")).unwrap_or_default();
        let path = self.path(case.kind, case.version, Some(&case.name)) + &via;
        let whole = |part: &Value| self.object(case.kind, case.version, &case.name, part);
        let difference = difference(&whole(old), &whole(new));
        let mut last = Answer::Failed(0, "not tried".to_owned());
        for _ in 0..5 {
            last = match case.how {
                How::Merge => caller.amend(&path, Form::Merge, &difference).await,
                How::Apply => {
                    let object = self.owned(self.object(case.kind, case.version, &case.name, new), case.row);
                    caller.amend(&path, Form::Apply, &object).await
                }
                how => {
                    let current = self.owner.get(&path).await.admitted();
                    if how == How::Replace {
                        caller.put(&path, &merge(&current, &difference)).await
                    } else {
                        caller.amend(&path, Form::Json, &operations(&current, &difference)).await
                    }
                }
            };
            if !matches!(last, Answer::Failed(409, _)) {
                break;
            }
        }
        last
    }

    fn object(&self, kind: &str, version: &str, name: &str, part: &Value) -> Value {
        let known = &self.matrix.kinds[kind];
        let api_version = if known.group.is_empty() { version.to_owned() } else { format!("{}/{version}", known.group) };
        let object = json!({ "apiVersion": api_version, "kind": known.named.as_deref().unwrap_or(kind), "metadata": { "name": name } });
        merge(&merge(&object, &known.base), part)
    }

    fn owned(&self, mut object: Value, row: &Row) -> Value {
        if let Some(owner) = &row.owner {
            let parent = &self.parents[&owner.kind];
            let mut reference = json!({
                "apiVersion": parent["apiVersion"], "kind": parent["kind"], "name": parent["metadata"]["name"], "uid": parent["metadata"]["uid"],
            });
            if let Some(controller) = owner.controller {
                reference["controller"] = controller.into();
            }
            object["metadata"]["ownerReferences"] = json!([reference]);
        }
        object
    }

    fn path(&self, kind: &str, version: &str, name: Option<&str>) -> String {
        let known = &self.matrix.kinds[kind];
        let root = if known.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", known.group) };
        let namespace = if known.cluster_scoped { String::new() } else { format!("/namespaces/{}", self.namespace) };
        let name = name.map(|name| format!("/{name}")).unwrap_or_default();
        format!("{root}{namespace}/{}{name}", known.resource)
    }
}
