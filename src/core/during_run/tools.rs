//! How the tools are stopped: one row for each way of a kind. The facts are those of the tools' own API types and controllers.

use super::Experiment;
use crate::api::OnFailing;
use crate::core::presets::CHAOS;
use serde_json::{Value, json};

/// A kind that can run, and what can be done to it while it does.
#[derive(Debug)]
pub struct Tool {
    /// The API group.
    pub group: &'static str,
    /// The plurals.
    pub resources: &'static [&'static str],
    pause: Way,
    stop: Way,
    delete: Way,
    /// Whether it is over, or was never to run.
    idle: fn(&Value) -> bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// A field is written.
    Write(Lever),
    /// The object is deleted: the tool then cleans up.
    Delete,
    /// Nothing can be done; why, and what could be instead.
    Impossible(&'static str),
}

/// A field that stops what runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lever {
    /// Where it is.
    pub place: Place,
    /// What it says then.
    pub stopped: Word,
    /// What it says when it is let go again; `None`: the field is taken away.
    pub running: Option<Word>,
    /// Whether letting it go resumes what ran.
    pub resumes: bool,
    /// What was done then.
    pub done: Done,
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An annotation.
    Annotation(&'static str),
    /// A member of the spec.
    Spec(&'static str),
}

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// True or false.
    Flag(bool),
    /// A text.
    Text(&'static str),
}

/// What was done to an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It can go on.
    Paused,
    /// It ended, or begins anew.
    Stopped,
    /// It is gone.
    Deleted,
    /// It goes on.
    Resumed,
}

impl Done {
    /// The word of the mark, the metric and the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Paused => "Paused",
            Self::Stopped => "Stopped",
            Self::Deleted => "Deleted",
            Self::Resumed => "Resumed",
        }
    }

    /// The reason of the Event.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Paused => "ExperimentPaused",
            Self::Stopped => "ExperimentStopped",
            Self::Deleted => "ExperimentDeleted",
            Self::Resumed => "ExperimentResumed",
        }
    }
}

impl Word {
    /// As JSON.
    pub fn json(self) -> Value {
        match self {
            Self::Flag(flag) => json!(flag),
            Self::Text(text) => json!(text),
        }
    }
}

impl Lever {
    const fn annotation(key: &'static str, resumes: bool, done: Done) -> Way {
        Way::Write(Self { place: Place::Annotation(key), stopped: Word::Text("true"), running: None, resumes, done })
    }

    const fn flag(member: &'static str) -> Way {
        let (stopped, running) = (Word::Flag(true), Some(Word::Flag(false)));
        Way::Write(Self { place: Place::Spec(member), stopped, running, resumes: true, done: Done::Paused })
    }

    const fn word(member: &'static str, stopped: &'static str, running: Option<&'static str>, done: Done) -> Way {
        let again = match running {
            Some(word) => Some(Word::Text(word)),
            None => None,
        };
        Way::Write(Self { place: Place::Spec(member), stopped: Word::Text(stopped), running: again, resumes: running.is_some(), done })
    }

    /// Whether an object's field says so.
    pub fn is_pulled(&self, object: &Value) -> bool {
        let found = match self.place {
            Place::Annotation(key) => object.pointer("/metadata/annotations").and_then(|all| all.get(key)),
            Place::Spec(member) => object.get("spec").and_then(|spec| spec.get(member)),
        };
        found == Some(&self.stopped.json())
    }
}

const CHAOS_MESH: &str = "chaos-mesh.org";
/// Pauses what Chaos Mesh runs.
const PAUSE: &str = "experiment.chaos-mesh.org/pause";
/// Ends a Workflow of Chaos Mesh.
const ABORT: &str = "workflow.chaos-mesh.org/abort";
/// What Chaos Mesh does at once, and cannot be paused.
const ONE_SHOT: &[&str] = &["pod-kill", "container-kill", "ec2-restart", "vm-restart", "node-reset"];
const KUBEVIRT: &str = "kubevirt.io";
const NO_MACHINE: &str = "a virtual machine cannot be paused by writing an object: use onFailing: Stop, which halts it";
const NO_MACHINE_DELETED: &str = "Holdpoint deletes no virtual machine: use onFailing: Stop, which halts it";
const MACHINE_FIRST: &str = "an instance is stopped by its VirtualMachine: hold virtualmachines, and use onFailing: Stop";
const NO_SET: &str = "a set of virtual machines is not stopped by one field: scale it down, or hold virtualmachines";
const ONLY_DELETE: &str = "it can neither be paused nor stopped: use onFailing: Delete";

/// All rows. What is not in them is not touched.
pub const TOOLS: &[Tool] = &[
    Tool {
        group: CHAOS_MESH,
        resources: CHAOS,
        pause: Lever::annotation(PAUSE, true, Done::Paused),
        stop: Lever::annotation(PAUSE, true, Done::Paused),
        delete: Way::Delete,
        idle: chaos_is_over,
    },
    Tool {
        group: CHAOS_MESH,
        resources: &["schedules"],
        pause: Lever::annotation(PAUSE, true, Done::Paused),
        stop: Lever::annotation(PAUSE, true, Done::Paused),
        delete: Way::Delete,
        idle: never,
    },
    Tool {
        group: CHAOS_MESH,
        resources: &["workflows"],
        pause: Lever::annotation(ABORT, false, Done::Stopped),
        stop: Lever::annotation(ABORT, false, Done::Stopped),
        delete: Way::Delete,
        idle: chaos_workflow_is_over,
    },
    Tool {
        group: "litmuschaos.io",
        resources: &["chaosengines"],
        pause: Lever::word("engineState", "stop", Some("active"), Done::Stopped),
        stop: Lever::word("engineState", "stop", Some("active"), Done::Stopped),
        delete: Way::Delete,
        idle: |o| among(o, "/status/engineStatus", &["completed", "stopped"]),
    },
    Tool {
        group: "litmuschaos.io",
        resources: &["chaosschedules"],
        pause: Lever::word("scheduleState", "halt", Some("active"), Done::Paused),
        stop: Lever::word("scheduleState", "stop", None, Done::Stopped),
        delete: Way::Delete,
        idle: |o| among(o, "/spec/scheduleState", &["halt", "stop", "complete"]) || among(o, "/status/schedule/status", &["completed"]),
    },
    Tool {
        group: "krkn.krkn-chaos.dev",
        resources: &["krknscenarioruns", "krkngraphruns"],
        pause: Way::Impossible(ONLY_DELETE),
        stop: Way::Impossible(ONLY_DELETE),
        delete: Way::Delete,
        idle: phase_is_over,
    },
    Tool {
        group: "chaos.datadoghq.com",
        resources: &["disruptions"],
        pause: Way::Impossible("a disruption cannot be paused: use onFailing: Stop, which deletes it, and the tool cleans up"),
        stop: Way::Delete,
        delete: Way::Delete,
        idle: |o| flag(o, "/spec/dryRun") || text(o, "/status/injectionStatus").starts_with("Previously"),
    },
    Tool {
        group: "chaos.datadoghq.com",
        resources: &["disruptioncrons"],
        pause: Lever::flag("paused"),
        stop: Lever::flag("paused"),
        delete: Way::Delete,
        idle: |o| flag(o, "/spec/disruptionTemplate/dryRun"),
    },
    Tool {
        group: "chaos.datadoghq.com",
        resources: &["disruptionrollouts"],
        pause: Way::Impossible("a rollout of disruptions cannot be paused: use onFailing: Stop, which deletes it"),
        stop: Way::Delete,
        delete: Way::Delete,
        idle: never,
    },
    Tool {
        group: "chaosblade.io",
        resources: &["chaosblades"],
        pause: Way::Impossible(ONLY_DELETE),
        stop: Way::Impossible(ONLY_DELETE),
        delete: Way::Delete,
        idle: |o| among(o, "/status/phase", &["Destroying", "Destroyed", "Error"]),
    },
    Tool {
        group: "chaostoolkit.org",
        resources: &["chaosexperiments"],
        pause: Way::Impossible(ONLY_DELETE),
        stop: Way::Impossible(ONLY_DELETE),
        delete: Way::Delete,
        idle: phase_is_over,
    },
    Tool {
        group: "argoproj.io",
        resources: &["workflows"],
        pause: Lever::flag("suspend"),
        // Not Terminate: that would skip the exit handlers, in which experiments clean up.
        stop: Lever::word("shutdown", "Stop", None, Done::Stopped),
        delete: Way::Delete,
        idle: |o| phase_is_over(o) || !text(o, "/spec/shutdown").is_empty(),
    },
    Tool {
        group: "argoproj.io",
        resources: &["cronworkflows"],
        pause: Lever::flag("suspend"),
        stop: Lever::flag("suspend"),
        delete: Way::Delete,
        idle: never,
    },
    Tool {
        group: "batch",
        resources: &["jobs"],
        pause: Lever::flag("suspend"),
        stop: Lever::flag("suspend"),
        delete: Way::Delete,
        idle: |o| condition(o, "Complete") || condition(o, "Failed") || o.pointer("/spec/parallelism") == Some(&json!(0)),
    },
    Tool {
        group: "batch",
        resources: &["cronjobs"],
        pause: Lever::flag("suspend"),
        stop: Lever::flag("suspend"),
        delete: Way::Delete,
        idle: never,
    },
    Tool {
        group: KUBEVIRT,
        resources: &["virtualmachines"],
        pause: Way::Impossible(NO_MACHINE),
        stop: Lever::word("runStrategy", "Halted", None, Done::Stopped),
        delete: Way::Impossible(NO_MACHINE_DELETED),
        idle: machine_is_idle,
    },
    Tool {
        group: KUBEVIRT,
        resources: &["virtualmachineinstances"],
        pause: Way::Impossible(MACHINE_FIRST),
        stop: Way::Impossible(MACHINE_FIRST),
        delete: Way::Impossible(MACHINE_FIRST),
        idle: |o| among(o, "/status/phase", &["Succeeded", "Failed"]),
    },
    Tool {
        group: KUBEVIRT,
        resources: &["virtualmachineinstancereplicasets"],
        pause: Way::Impossible(NO_SET),
        stop: Way::Impossible(NO_SET),
        delete: Way::Impossible(NO_SET),
        idle: never,
    },
    Tool {
        group: "pool.kubevirt.io",
        resources: &["virtualmachinepools"],
        pause: Way::Impossible(NO_SET),
        stop: Way::Impossible(NO_SET),
        delete: Way::Impossible(NO_SET),
        idle: never,
    },
    Tool {
        group: KUBEVIRT,
        resources: &["virtualmachineinstancemigrations"],
        pause: Way::Impossible("a migration cannot be paused: use onFailing: Stop, which deletes it, and with that ends it"),
        stop: Way::Delete,
        delete: Way::Delete,
        idle: |o| among(o, "/status/phase", &["Succeeded", "Failed"]),
    },
];

/// What is inside of experiments that are stopped as a whole: nothing is done to it, and nothing is said of it.
const INSIDES: &[(&str, &[&str])] =
    &[(CHAOS_MESH, &["workflownodes", "podnetworkchaos", "podiochaos", "podhttpchaos", "statuschecks"]), ("", &["pods"])];

impl Tool {
    /// The row of a resource.
    pub fn of(group: &str, resource: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.group == group && tool.resources.contains(&resource))
    }

    /// What would be done to any object of the kind.
    pub fn way(&self, on_failing: OnFailing) -> Option<Way> {
        match on_failing {
            OnFailing::None => None,
            OnFailing::Pause => Some(self.pause),
            OnFailing::Stop => Some(self.stop),
            OnFailing::Delete => Some(self.delete),
        }
    }

    /// What would be done to this one.
    pub fn way_for(&self, on_failing: OnFailing, object: &Value) -> Option<Way> {
        let way = self.way(on_failing)?;
        if self.group == CHAOS_MESH && matches!(way, Way::Write(_)) && ONE_SHOT.contains(&text(object, "/spec/action")) {
            return Some(Way::Impossible("its action is done at once, and cannot be paused: use onFailing: Delete to end what repeats it"));
        }
        // KubeVirt refuses a machine that has both fields.
        let by_flag = self.group == KUBEVIRT && object.pointer("/spec/running").is_some_and(|running| !running.is_null());
        match way {
            Way::Write(lever) if by_flag => Some(Way::Write(Lever { place: Place::Spec("running"), stopped: Word::Flag(false), ..lever })),
            way => Some(way),
        }
    }

    /// Whether an object of the kind is over, was never to run, or was stopped by whomever.
    pub fn is_idle(&self, object: &Value) -> bool {
        let pulled = |way: Way| matches!(way, Way::Write(lever) if lever.is_pulled(object));
        (self.idle)(object) || pulled(self.pause) || pulled(self.stop)
    }

    /// Whether it ended by itself, so that there is nothing to resume. Chaos that was paused says of itself that it is to stop: that is no end.
    pub fn is_over(object: &Value) -> bool {
        phase_is_over(object)
            || condition(object, "Complete")
            || condition(object, "Failed")
            || among(object, "/status/engineStatus", &["completed"])
    }
}

/// Whether nothing is to be said of a resource for which there is no row.
pub fn is_inside(group: &str, resource: &str) -> bool {
    resource.contains('/') || INSIDES.iter().any(|(of, resources)| *of == group && resources.contains(&resource))
}

impl Experiment {
    /// Whether it runs now.
    pub fn runs(&self) -> bool {
        let deleted = self.object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
        !deleted && !self.tool.is_idle(&self.object)
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn among(object: &Value, pointer: &str, words: &[&str]) -> bool {
    words.contains(&text(object, pointer))
}

fn flag(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer) == Some(&Value::Bool(true))
}

fn condition(object: &Value, type_: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| text(c, "/type") == type_ && text(c, "/status") == "True")
}

fn never(_object: &Value) -> bool {
    false
}

fn phase_is_over(object: &Value) -> bool {
    among(object, "/status/phase", &["Succeeded", "Failed", "Error", "Completed", "PartiallyFailed", "Cancelled", "MaxRetriesExceeded"])
}

/// Its time is up, or, of what is done at once, it was done.
fn chaos_is_over(object: &Value) -> bool {
    let done_at_once = ONE_SHOT.contains(&text(object, "/spec/action"));
    among(object, "/status/experiment/desiredPhase", &["Stop"]) || (done_at_once && condition(object, "AllInjected"))
}

fn chaos_workflow_is_over(object: &Value) -> bool {
    condition(object, "Accomplished") || !text(object, "/status/endTime").is_empty()
}

/// It is not to run, and none runs.
fn machine_is_idle(object: &Value) -> bool {
    let to_run =
        flag(object, "/spec/running") || among(object, "/spec/runStrategy", &["Always", "RerunOnFailure", "Once", "WaitAsReceiver"]);
    let manual = text(object, "/spec/runStrategy") == "Manual" && flag(object, "/status/created");
    !to_run && !manual
}
