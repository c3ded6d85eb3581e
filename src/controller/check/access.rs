//! Whose eyes: what a check may read is what the service account that it names may read, as the API server says.
//!
//! Answers are kept and asked for again. A permission that was taken away is noticed within [`ASK_AGAIN_ALLOWED`]; one that was given, within
//! [`ASK_AGAIN_DENIED`]. What cannot be asked counts as it did for [`BELIEVED`], and then as unknown.

use super::objects::CheckKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

/// How soon a permission is asked for again.
pub const ASK_AGAIN_ALLOWED: SignedDuration = SignedDuration::from_secs(30);
/// How soon a refusal is asked for again.
pub const ASK_AGAIN_DENIED: SignedDuration = SignedDuration::from_secs(5);
/// How long an answer counts while the API server cannot be asked.
pub const BELIEVED: SignedDuration = SignedDuration::from_mins(5);
/// How many questions are asked at once.
const MAX_ASKED: usize = 8;
/// How many answers are kept. One is kept for each account, verb, kind and namespace in use.
const MAX_KEPT: usize = 20_000;

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// Its namespace: the check's.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}

/// A right to read something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Access {
    /// Who.
    pub account: Account,
    /// get, list or watch.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: Arc<str>,
    /// The plural.
    pub resource: Arc<str>,
    /// In which namespace; `None`: in all of them, or of a kind without.
    pub namespace: Option<Arc<str>>,
    /// One object; `None`: all.
    pub name: Option<Arc<str>>,
}

/// What is known of a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It is given.
    Allowed,
    /// It is not.
    Denied,
    /// The API server was asked.
    Asked,
    /// It cannot be told; a line that says why.
    Untold(String),
}

#[derive(Debug, Default)]
struct Known {
    answer: Option<(bool, Timestamp)>,
    error: Option<String>,
    users: HashSet<CheckKey>,
}

/// All that was asked.
#[derive(Debug, Default)]
pub struct Grants {
    known: HashMap<Arc<Access>, Known>,
    waiting: VecDeque<Arc<Access>>,
    asked: HashSet<Arc<Access>>,
    again: BTreeSet<(Timestamp, Arc<Access>)>,
}

impl Grants {
    /// What is known of a right that a check needs, and the right as it is kept. What is not known will be asked.
    pub fn permission(&mut self, access: &Access, user: &CheckKey, now: Timestamp) -> (Permission, Option<&Arc<Access>>) {
        if !self.known.contains_key(access) {
            if self.known.len() >= MAX_KEPT {
                let message = format!("the operator keeps {MAX_KEPT} permissions and has no room for another");
                return (Permission::Untold(message), None);
            }
            let access = Arc::new(access.clone());
            self.waiting.push_back(access.clone());
            self.known.insert(access, Known::default());
        }
        let Some(known) = self.known.get_mut(access) else { return (Permission::Asked, None) };
        known.users.insert(user.clone());
        let permission = match (known.answer, &known.error) {
            (Some((allowed, at)), _) if now.duration_since(at) < BELIEVED => {
                if allowed {
                    Permission::Allowed
                } else {
                    Permission::Denied
                }
            }
            (_, Some(error)) => Permission::Untold(error.clone()),
            _ => Permission::Asked,
        };
        (permission, self.known.get_key_value(access).map(|(shared, _)| shared))
    }

    /// The API server answered, or could not be asked. Returns the checks whose permission is another than before.
    pub fn answer(&mut self, access: &Access, answer: Result<bool, String>, now: Timestamp) -> HashSet<CheckKey> {
        self.asked.remove(access);
        let Some((access, _)) = self.known.get_key_value(access) else { return HashSet::new() };
        let access = access.clone();
        let Some(known) = self.known.get_mut(&access) else { return HashSet::new() };
        let before = (known.answer.map(|(allowed, _)| allowed), known.error.is_some());
        let pause = match answer {
            Ok(allowed) => {
                known.answer = Some((allowed, now));
                known.error = None;
                if allowed { ASK_AGAIN_ALLOWED } else { ASK_AGAIN_DENIED }
            }
            Err(error) => {
                known.error = Some(error);
                ASK_AGAIN_DENIED
            }
        };
        let changed = before != (known.answer.map(|(allowed, _)| allowed), known.error.is_some());
        let users = if changed { known.users.clone() } else { HashSet::new() };
        self.again.insert((now.checked_add(pause).unwrap_or(now), access));
        users
    }

    /// A check needs nothing any more. What nobody needs is forgotten when it would be asked for again: a check that comes back meanwhile need not
    /// wait.
    pub fn release(&mut self, user: &CheckKey, accesses: &[Arc<Access>]) {
        for access in accesses {
            if let Some(known) = self.known.get_mut(access) {
                known.users.remove(user);
            }
        }
    }

    /// What to ask now.
    pub fn questions(&mut self, now: Timestamp) -> Vec<Access> {
        while let Some((_, access)) = self.again.first().filter(|(at, _)| *at <= now).cloned() {
            self.again.pop_first();
            if self.known.get(&access).is_some_and(|known| known.users.is_empty()) {
                self.known.remove(&access);
            } else if self.known.contains_key(&access) && !self.asked.contains(&access) {
                self.waiting.push_back(access);
            }
        }
        let mut questions = Vec::new();
        while self.asked.len() < MAX_ASKED {
            let Some(access) = self.waiting.pop_front() else { break };
            if self.known.contains_key(&access) && self.asked.insert(access.clone()) {
                questions.push(Access::clone(&access));
            }
        }
        questions
    }

    /// When there is something to ask again.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.again.first().map(|(at, _)| *at)
    }

    /// What was planned by the old clock would come too late.
    pub fn clock_was_set_back(&mut self, now: Timestamp) {
        self.again = std::mem::take(&mut self.again).into_iter().map(|(at, access)| (at.min(now), access)).collect();
        for known in self.known.values_mut() {
            known.answer = known.answer.map(|(allowed, at)| (allowed, at.min(now)));
        }
    }
}

/// The commands that give an account the right to read a kind, in a namespace or everywhere, ready to copy.
pub fn grant(access: &Access) -> String {
    let Access { account, group, resource, namespace, name: object, .. } = access;
    let (owner, name) = (&account.namespace, &account.name);
    let of = if group.is_empty() { resource.to_string() } else { format!("{resource}.{group}") };
    let (role, right) = match object {
        Some(object) => (format!("preflight-{name}-{resource}-{object}"), format!("--verb=get --resource={of} --resource-name={object}")),
        None => (format!("preflight-{name}-{resource}"), format!("--verb=get,list,watch --resource={of}")),
    };
    if let Some(place) = namespace {
        return format!(
            "kubectl -n {place} create role {role} {right} \
             && kubectl -n {place} create rolebinding {role} --role={role} --serviceaccount={owner}:{name}"
        );
    }
    let role = format!("{role}-{owner}");
    format!(
        "kubectl create clusterrole {role} {right} \
         && kubectl create clusterrolebinding {role} --clusterrole={role} --serviceaccount={owner}:{name}"
    )
}

/// What an account may not do, and the commands that change it. It says nothing that the check's author did not write.
pub fn refusal(access: &Access) -> String {
    let place = access.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    let of = if access.group.is_empty() { access.resource.to_string() } else { format!("{}.{}", access.resource, access.group) };
    let one = access.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    format!("service account {} may not {} {of}{one}{place}; grant it: {}", access.account, access.verb, grant(access))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(grants: &mut Grants, access: &Access, user: &CheckKey, now: Timestamp) -> Permission {
        grants.permission(access, user, now).0
    }

    fn access(verb: &'static str, namespace: Option<&str>) -> Access {
        Access {
            account: Account { namespace: "shop".into(), name: "default".into() },
            verb,
            group: "apps".into(),
            resource: "deployments".into(),
            namespace: namespace.map(Into::into),
            name: None,
        }
    }

    fn check(name: &str) -> CheckKey {
        CheckKey { namespace: "shop".into(), name: name.into() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn each_right_is_asked_once_for_all_checks_and_again_after_a_while() {
        let (mut grants, get) = (Grants::default(), access("get", Some("shop")));
        assert_eq!(permission(&mut grants, &get, &check("a"), at(0)), Permission::Asked);
        assert_eq!(permission(&mut grants, &get, &check("b"), at(0)), Permission::Asked);
        assert_eq!((grants.questions(at(0)), grants.questions(at(0))), (vec![get.clone()], Vec::new()));
        assert_eq!(grants.answer(&get, Ok(true), at(1)), [check("a"), check("b")].into());
        assert_eq!((permission(&mut grants, &get, &check("a"), at(2)), grants.next_wake()), (Permission::Allowed, Some(at(31))));
        assert_eq!((grants.questions(at(30)).len(), grants.questions(at(31))), (0, vec![get.clone()]));
        assert_eq!(grants.answer(&get, Ok(true), at(31)), HashSet::new(), "nothing changed");
        assert_eq!(grants.questions(at(61)), std::slice::from_ref(&get));
        assert_eq!(grants.answer(&get, Ok(false), at(61)).len(), 2);
        assert_eq!((permission(&mut grants, &get, &check("a"), at(62)), grants.next_wake()), (Permission::Denied, Some(at(66))));
    }

    #[test]
    fn what_cannot_be_asked_stays_as_it_was_for_five_minutes() {
        let (mut grants, get) = (Grants::default(), access("get", Some("shop")));
        permission(&mut grants, &get, &check("a"), at(0));
        grants.questions(at(0));
        grants.answer(&get, Ok(true), at(0));
        grants.answer(&get, Err("no answer".into()), at(30));
        assert_eq!(permission(&mut grants, &get, &check("a"), at(299)), Permission::Allowed);
        assert_eq!(permission(&mut grants, &get, &check("a"), at(300)), Permission::Untold("no answer".into()));
    }

    #[test]
    fn what_nobody_needs_is_forgotten_and_not_asked_again() {
        let (mut grants, get) = (Grants::default(), access("get", Some("shop")));
        permission(&mut grants, &get, &check("a"), at(0));
        grants.questions(at(0));
        grants.answer(&get, Ok(true), at(0));
        grants.release(&check("a"), &[Arc::new(get)]);
        assert_eq!((grants.questions(at(100)), grants.known.len(), grants.next_wake()), (Vec::new(), 0, None));
    }

    #[test]
    fn the_commands_grant_the_right_where_it_is_needed() {
        assert_eq!(
            refusal(&access("list", Some("shop"))),
            "service account shop:default may not list deployments.apps in namespace shop; grant it: kubectl -n shop create role \
             preflight-default-deployments --verb=get,list,watch --resource=deployments.apps && kubectl -n shop create rolebinding \
             preflight-default-deployments --role=preflight-default-deployments --serviceaccount=shop:default"
        );
        assert_eq!(
            grant(&Access { name: Some("web".into()), ..access("get", Some("shop")) }),
            "kubectl -n shop create role preflight-default-deployments-web --verb=get --resource=deployments.apps --resource-name=web \
             && kubectl -n shop create rolebinding preflight-default-deployments-web --role=preflight-default-deployments-web \
             --serviceaccount=shop:default"
        );
        assert_eq!(
            grant(&access("list", None)),
            "kubectl create clusterrole preflight-default-deployments-shop --verb=get,list,watch --resource=deployments.apps && kubectl create \
             clusterrolebinding preflight-default-deployments-shop --clusterrole=preflight-default-deployments-shop --serviceaccount=shop:default"
        );
    }
}
