//! How soon the webhook refuses after a Deployment broke: a condition of its status is patched, and machines are created until one is refused.

use crate::Outcome;
use crate::samples::Samples;
use crate::world::{CONDITION, DEPLOYMENTS, World, machine};
use holdpoint::clock;
use http::{Request, StatusCode};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::client::Body;
use serde_json::json;
use std::ops::Range;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 60;
const WARM_UP: u32 = 5;
/// Between two rounds, in milliseconds.
const PAUSE: Range<u64> = 150..400;
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of it.
pub struct Reaction {
    /// A patch, then one create that is judged: what they cost by themselves.
    pub plain: Samples,
    /// From sending the patch to the refusal.
    pub refused: Samples,
    /// From the patch's answer to the refusal.
    pub answered: Samples,
    /// From sending the patch that mends it to the first create that is admitted.
    pub admitted: Samples,
}

/// Measures.
pub fn run(world: &World) -> Outcome<Reaction> {
    world.runtime.block_on(measure(world))
}

async fn measure(world: &World) -> Outcome<Reaction> {
    let mut reaction =
        Reaction { plain: Samples::default(), refused: Samples::default(), answered: Samples::default(), admitted: Samples::default() };
    for round in 0..ROUNDS + WARM_UP {
        let namespace = world.namespaces.get(fastrand::usize(..world.namespaces.len())).ok_or("no namespace")?;
        let target = Target::new(world.deployments(namespace), fastrand::usize(..DEPLOYMENTS));
        let create = DryRun::new(world, namespace);
        clock::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
        let (begun, _) = target.turn(true).await?;
        let status = create.send().await?;
        let plain = begun.elapsed();
        if status != StatusCode::CREATED {
            return Err(format!("a create in {namespace} is answered with {status} although everything passes").into());
        }
        let (begun, patched) = target.turn(false).await?;
        create.until(StatusCode::FORBIDDEN).await?;
        let (refused, answered) = (begun.elapsed(), patched.elapsed());
        clock::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
        let (begun, _) = target.turn(true).await?;
        create.until(StatusCode::CREATED).await?;
        if round >= WARM_UP {
            reaction.admitted.push(begun.elapsed());
            reaction.plain.push(plain);
            reaction.refused.push(refused);
            reaction.answered.push(answered);
        }
    }
    Ok(reaction)
}

/// A Deployment that breaks and is mended.
pub struct Target {
    api: Api<DynamicObject>,
    name: String,
}

impl Target {
    /// One of a namespace.
    pub fn new(api: Api<DynamicObject>, number: usize) -> Self {
        Self { api, name: format!("service-{number}") }
    }

    /// Patches the condition; when that was sent, and when it was answered. Each patch says something new, or nothing would be stored.
    pub async fn turn(&self, healthy: bool) -> Outcome<(Instant, Instant)> {
        let status = if healthy { "True" } else { "False" };
        let message = format!("turn {:x}", fastrand::u64(..));
        let patch = json!({"status": {"conditions": [{"type": CONDITION, "status": status, "reason": "Bench", "message": message}]}});
        let begun = clock::instant();
        self.api.patch_status(&self.name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        Ok((begun, clock::instant()))
    }
}

/// Creates of a virtual machine that are judged and not stored.
struct DryRun {
    client: Client,
    path: String,
    body: Vec<u8>,
}

impl DryRun {
    fn new(world: &World, namespace: &str) -> Self {
        let path = format!("/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines?dryRun=All");
        Self { client: world.client.clone(), path, body: machine(namespace).to_string().into_bytes() }
    }

    async fn send(&self) -> Outcome<StatusCode> {
        let request = Request::post(&self.path).header("content-type", "application/json").body(Body::from(self.body.clone()))?;
        let answer = self.client.send(request).await?;
        let status = answer.status();
        answer.into_body().collect_bytes().await?;
        Ok(status)
    }

    async fn until(&self, expected: StatusCode) -> Outcome<()> {
        let started = clock::instant();
        loop {
            let found = self.send().await?;
            if found == expected {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("{}: creates go on being answered with {found} instead of {expected}", self.path).into());
            }
        }
    }
}
