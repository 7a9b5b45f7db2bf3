//! What goes wrong in one run: which kinds of faults there are, and which comes next.

use std::time::Duration;

use fastrand::Rng;

use super::lab::{Lab, Mishap};
use crate::loopback::Answer;
use crate::loopback::object_store::{self, Operation as OfBucket};
use crate::loopback::parameter_store::{self, Operation as OfStore};
use crate::loopback::queue::{self, Operation as OfQueue};

/// The kinds of faults of a run.
#[expect(clippy::struct_excessive_bools, reason = "each kind is there or is not, whatever the others are")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// The API answers that it did not take a body, or the connection ends before it did.
    pub(crate) api: bool,
    /// The API takes nothing, for a round.
    pub(crate) outages: bool,
    /// The API answers 400, 413 or 422 to what it would take.
    pub(crate) refusals: bool,
    /// The API's answer to what it took is lost.
    pub(crate) lost_answers: bool,
    pub(crate) issuer: bool,
    pub(crate) store: bool,
    pub(crate) bucket: bool,
    pub(crate) queue: bool,
    pub(crate) kills: bool,
    pub(crate) freezes: bool,
    /// Records that no try delivers.
    pub(crate) poison: bool,
    /// Messages come twice.
    pub(crate) twice: bool,
}

impl Faults {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let is_calm = rng.u8(0..4) == 0;
        let mut some = |calm: bool| rng.u8(0..5) < 2 && (calm || !is_calm);
        Self {
            api: some(true),
            outages: some(true),
            refusals: some(false),
            lost_answers: some(false),
            issuer: some(false),
            store: some(false),
            bucket: some(false),
            queue: some(false),
            kills: some(false),
            freezes: some(false),
            poison: some(true),
            twice: some(false),
        }
    }

    /// Whether what was delivered is known to whoever delivered it.
    pub(crate) fn are_definite(&self) -> bool {
        !(self.lost_answers || self.kills || self.freezes)
    }

    /// Whether each step is made once.
    pub(crate) fn are_calm(&self) -> bool {
        self.are_definite() && !(self.refusals || self.issuer || self.store || self.bucket || self.queue || self.twice)
    }

    /// How long a function waits for an answer. Long enough where a slow machine must not make a fault of its own.
    pub(crate) fn request_timeout_ms(&self) -> &'static str {
        if self.are_definite() { "20000" } else { "300" }
    }

    /// Plans a round.
    pub(crate) fn arm(&self, lab: &Lab, rng: &mut Rng) {
        let pass = || Answer::status(200);
        lab.analytics.heal();
        if self.outages && rng.bool() {
            match rng.u8(0..3) {
                0 => lab.analytics.set_down(true),
                1 => lab.analytics.otherwise(Some(Answer::status(503))),
                _ => lab.analytics.otherwise(Some(Answer::status(429).retry_after("3600"))),
            }
        }
        // Few requests of a round that goes well, or most of one that does not: then objects come back in part.
        let most = [6, 60][rng.usize(0..2)];
        for _ in 0..rng.usize(0..most) {
            let answer = match rng.u8(0..8) {
                0..3 if self.api => Self::of_api(rng),
                3..5 if self.refusals => Answer::status([400, 413, 422][rng.usize(0..3)]),
                5..7 if self.lost_answers => lost_answer(rng),
                _ => pass(),
            };
            lab.analytics.script([answer]);
        }
        if self.issuer && rng.bool() {
            lab.endpoint.valid().revoke_all();
            let bodies = [r#"{"error":"invalid_client"}"#, "<html>", r#"{"error":"temporarily_unavailable"}"#];
            let status = [400, 401, 429, 500, 503, 200][rng.usize(0..6)];
            lab.endpoint.script([Answer::status(status).body(bodies[rng.usize(0..3)])]);
        }
        if self.store {
            for operation in [OfStore::Get, OfStore::GetSeveral, OfStore::Put] {
                if rng.bool() {
                    let errors =
                        [parameter_store::throttled(), parameter_store::internal_error(), Answer::closed_after_body()];
                    lab.store.script(operation, [errors[rng.usize(0..3)].clone()]);
                }
            }
        }
        lab.objects.heal();
        if self.bucket {
            let mut fault = || {
                let operation = [OfBucket::Get, OfBucket::Put, OfBucket::Delete][rng.usize(0..3)];
                (operation, self.of_bucket(operation, rng))
            };
            for _ in 0..6 {
                let (operation, answer) = fault();
                lab.objects.script(operation, [answer]);
            }
            let (operation, answer) = fault();
            lab.objects.otherwise(operation, Some(answer).filter(|_| rng.bool()));
        }
        if self.queue {
            for _ in 0..rng.usize(0..3) {
                let answers =
                    [queue::throttled(), queue::access_denied(), Answer::closed_after_body(), Answer::status(500)];
                lab.queue.script(OfQueue::ChangeVisibility, [answers[rng.usize(0..4)].clone()]);
            }
        }
    }

    fn of_api(rng: &mut Rng) -> Answer {
        match rng.u8(0..9) {
            0 => Answer::status(500),
            1 => Answer::status(503).retry_after("0"),
            2 => Answer::status(429).retry_after("3600"),
            3 => Answer::status(401),
            4 => Answer::status(403),
            5 => Answer::status(404),
            6 => Answer::closed_before_body(),
            7 => Answer::closed_after_body(),
            _ => Answer::status(200).then_close(),
        }
    }

    fn of_bucket(&self, operation: OfBucket, rng: &mut Rng) -> Answer {
        if operation == OfBucket::Get && rng.bool() {
            // In the middle of a small object.
            return Answer::status(200).cut_after(rng.usize(250..2500));
        }
        match rng.u8(0..8) {
            0 => object_store::slow_down(),
            1 => object_store::internal_error(),
            2 => object_store::access_denied(),
            3 => Answer::closed_before_body(),
            4 => Answer::closed_after_body(),
            5 => Answer::status(200).cut_after(0),
            6 => Answer::status(200).then_close(),
            _ if self.are_definite() => Answer::status(200),
            _ => Answer::hang(),
        }
    }

    /// What happens to a process while it has an invocation.
    pub(crate) fn mishap(&self, rng: &mut Rng) -> Option<Mishap> {
        // Most invocations take some ten milliseconds, the first of a process and those that wait take longer.
        let latest = [5, 20, 80, 400][rng.usize(0..4)];
        let after = Duration::from_millis(rng.u64(0..latest));
        match rng.u8(0..6) {
            0..2 if self.kills => Some(Mishap::Killed { after }),
            2..4 if self.freezes => Some(Mishap::Frozen { after, time: Duration::from_millis(rng.u64(10..900)) }),
            _ => None,
        }
    }
}

fn lost_answer(rng: &mut Rng) -> Answer {
    match rng.u8(0..4) {
        0 => Answer::status(200).cut_after(rng.usize(0..12)),
        1 => Answer::status(200).delay(Duration::from_millis(400)),
        2 => Answer::hang(),
        _ => Answer::raw("no HTTP\r\n\r\n"),
    }
}
