//! Proof of the protocol, played: up to two hundred environments on a clock, with all that decides in them as it is.
//!
//! Each environment has its own [`Renewal`](super::renewal::Renewal)s, [`Memory`](super::memory::Memory) and [`Bearer`](super::Bearer)s; the store has Parameter Store's quotas, a
//! delay until a write can be read, and latencies; clocks differ; environments are frozen and killed; the issuer refuses, limits, or
//! issues tokens that the API takes only later. All that is random comes from the seed, which a failing test names.
//!
//! `TOKEN_SEEDS=5000 cargo test token::simulation` plays so many seeds of each scene instead of a few; `TOKEN_SEED=17` only that one.

mod world;

use self::world::{Issuer, Outcome, Scene, World};

/// Seeds of each scene that are always played.
const SEEDS: u64 = 12;

#[expect(clippy::disallowed_methods, reason = "how much is played is for whoever starts the test to say")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Plays the seeds of a scene, and has each outcome judged. No environment ever reads more than it may.
#[track_caller]
fn play(scene: &Scene, is_right: impl Fn(&Outcome) -> bool) {
    let seeds = number("TOKEN_SEED").map_or(0..number("TOKEN_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    for seed in seeds {
        let outcome = World::new(seed, scene).run();
        let expiries = scene.rounds.last().expect("a round") / (scene.lifetime.unsigned_abs() * 1000) + 1;
        let minutes = scene.rounds.last().expect("a round") / 60_000;
        for reads in &outcome.reads {
            let most = 10 * usize::try_from(expiries).expect("few") + usize::try_from(minutes).expect("few");
            assert!(reads.len() <= most, "TOKEN_SEED={seed}: {} reads, {scene:?}", reads.len());
            let is_slow = reads.windows(3).all(|three| three[2] - three[0] > 1000);
            assert!(is_slow, "TOKEN_SEED={seed}: three reads in a second: {reads:?}, {scene:?}");
        }
        assert!(
            is_right(&outcome),
            "TOKEN_SEED={seed}: {} requests at {:?}, {} delivered, {} not, the slowest after {} ms, {scene:?}",
            outcome.asked.len(),
            outcome.asked,
            outcome.delivered,
            outcome.failed,
            outcome.slowest
        );
    }
}

/// So many requests at most, and all deliver.
fn all_deliver(requests: usize) -> impl Fn(&Outcome) -> bool {
    move |outcome| outcome.asked.len() <= requests && outcome.failed == 0
}

#[test]
fn a_hundred_environments_on_an_expired_token_make_at_most_two_requests_and_all_deliver() {
    for cold in [false, true] {
        for (environments, delay) in [(1, 0), (20, 0), (100, 0), (100, 1000)] {
            play(&Scene { environments, cold, delay, ..Scene::default() }, all_deliver(2));
        }
    }
}

#[test]
fn two_hundred_environments_make_at_most_two_requests_and_all_deliver() {
    for cold in [false, true] {
        play(&Scene { environments: 200, cold, ..Scene::default() }, all_deliver(2));
    }
}

#[test]
fn a_slow_store_and_endpoint_and_clocks_that_differ_change_nothing() {
    for cold in [false, true] {
        let slow = Scene { cold, endpoint: 3000..9000, store: 100..900, ..Scene::default() };
        play(&slow, all_deliver(2));
        for skew in [2000, 5 * 60_000] {
            play(&Scene { cold, skew, ..Scene::default() }, all_deliver(2));
            let expiries = Scene { cold, skew, lifetime: 900, rounds: vec![0, 905_000, 1_810_000], ..Scene::default() };
            play(&expiries, all_deliver(6));
        }
    }
}

#[test]
fn each_expiry_costs_at_most_two_requests() {
    let scene = Scene { lifetime: 60, rounds: (0..5).map(|round| round * 65_000).collect(), ..Scene::default() };
    play(&scene, all_deliver(10));
}

#[test]
fn a_holder_that_is_killed_or_frozen_costs_seconds_and_no_storm() {
    for cold in [false, true] {
        let is_right = |outcome: &Outcome| outcome.asked.len() <= 2 && outcome.failed == 0;
        play(&Scene { cold, killed: 1, ..Scene::default() }, is_right);
        play(&Scene { cold, frozen: 1, ..Scene::default() }, is_right);
    }
}

#[test]
fn an_issuer_that_refuses_is_asked_with_growing_pauses_by_all_together() {
    // An invocation a second of each of ten environments, for two minutes.
    let scene = Scene {
        environments: 10,
        issuer: Issuer::Refuses,
        rounds: (0..120).map(|round| round * 1000).collect(),
        ..Scene::default()
    };
    for cold in [false, true] {
        play(&Scene { cold, ..scene.clone() }, |outcome| {
            let gaps: Vec<u64> = outcome.asked.windows(2).map(|two| two[1] - two[0]).collect();
            // Whose reads are used up, and whom a store too busy to write meets right then, asks beside the one that has the lock.
            let is_pair = |gap: &&u64| **gap < 100;
            let pauses = gaps.iter().skip(2).filter(|gap| !is_pair(gap)).all(|gap| *gap >= 9000);
            outcome.delivered == 0
                && outcome.asked.len() <= 7
                && pauses
                && gaps.iter().skip(2).filter(is_pair).count() <= 1
        });
    }
}

#[test]
fn an_issuer_that_recovers_or_limits_is_asked_few_times_and_delivery_goes_on() {
    let rounds: Vec<u64> = (0..120).map(|round| round * 1000).collect();
    let recovering =
        Scene { environments: 10, issuer: Issuer::RefusesUntil(30_000), rounds: rounds.clone(), ..Scene::default() };
    // Where the reads of all are used up, the next one is a minute away.
    play(&recovering, |outcome| outcome.asked.len() <= 7 && outcome.delivered > 200);
    let limiting = Scene { environments: 10, issuer: Issuer::Limits(40_000), lifetime: 20, rounds, ..Scene::default() };
    play(&limiting, |outcome| outcome.asked.len() <= 12 && outcome.delivered > 200);
}

#[test]
fn a_token_that_the_api_takes_later_is_given_time() {
    for late in [1000, 2000, 4000] {
        let scene = Scene { environments: 20, issuer: Issuer::IssuesLate(late), ..Scene::default() };
        play(&scene, all_deliver(1));
    }
    // One that it never takes.
    let never = Scene {
        environments: 10,
        issuer: Issuer::IssuesLate(u64::MAX / 2),
        rounds: (0..60).map(|round| round * 1000).collect(),
        ..Scene::default()
    };
    play(&never, |outcome| outcome.delivered == 0 && outcome.asked.len() <= 6);
}
