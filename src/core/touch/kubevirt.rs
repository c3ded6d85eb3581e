//! `KubeVirt`: the nodes on which a virtual machine can run.

use super::machine::Machine;
use super::reading::part;
use super::{Gated, Part, Unresolvable};
use crate::core::text::single_line;
use serde_json::Value;

pub(super) fn parts(gated: &Gated<'_>) -> Result<Vec<Part>, Unresolvable> {
    let template = match gated.kind {
        "VirtualMachine" | "VirtualMachineInstanceReplicaSet" => "/spec/template/spec",
        "VirtualMachineInstance" => "/spec",
        "VirtualMachinePool" => "/spec/virtualMachineTemplate/spec/template/spec",
        kind => return Err(Unresolvable::new(&format!("what a {} touches is not told by its object", single_line(kind, 63)))),
    };
    let spec = gated.object.pointer(template).filter(|spec| spec.is_object());
    let spec = spec.ok_or_else(|| Unresolvable::new(&format!("it has no {}", template.trim_start_matches('/').replace('/', "."))))?;
    let sized_elsewhere = ["/spec/instancetype", "/spec/virtualMachineTemplate/spec/instancetype"];
    let by_type = sized_elsewhere.iter().any(|path| gated.object.pointer(path).is_some_and(Value::is_object));
    part(spec, "domain")?;
    Ok(vec![Part::Machine(Box::new(Machine::read(spec, by_type)?))])
}
