//! The naive implementation in `benches/`: a comparison with it is honest only while both make the same.

use std::time::Duration;

use serde_json::Value;

use crate::events::bulk::{Kind, event};
use crate::naive;
use crate::world::World;

#[tokio::test]
async fn the_naive_implementation_makes_the_same_events_of_json_lines() {
    let payload = event(Kind::AccessJson, 300_000, 11).json();
    let world = World::start(&[("REDACT", "off")]).await;
    let answer = world.runtime.invoke(payload.clone(), Duration::from_mins(1)).await.json();
    assert!(answer["records"].as_array().expect("records").iter().all(|record| record["result"] == "Dropped"));
    let mut real = world.analytics.accepted_events();
    let bodies = naive::bodies(payload.as_bytes()).expect("a generated event");
    let mut naive: Vec<Value> = bodies
        .iter()
        .flat_map(|body| serde_json::from_slice::<Vec<Value>>(body).expect("a body is an array"))
        .collect();
    assert!(bodies.len() > 1 && bodies.iter().all(|body| body.len() <= 1_000_000));
    // Bodies are sent side by side, so they may arrive in another order.
    real.sort_by_key(|event| event["id"].to_string());
    assert_eq!(real.len(), naive.len());
    naive.sort_by_key(|event| event["id"].to_string());
    for (real, naive) in real.iter().zip(&naive) {
        assert_eq!(real, naive);
    }
}
