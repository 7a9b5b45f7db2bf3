//! Firehose, as far as a function notices: what it is asked, how often, and what becomes of what it answers.
//!
//! A function that fails is asked again with the same records. A record that it fails, or that its answers leave out, is
//! written to the bucket once, as a line, and forgotten.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html>

use std::collections::HashMap;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::loopback::{ObjectStore, Outcome};
use crate::redrive_world::FOLDER;
use crate::world::gzip;

/// How often a function that fails is asked again: Firehose's default.
const RETRIES: usize = 3;
const ARRIVAL_MS: u64 = 1_795_287_540_000;

/// A delivery stream.
#[derive(Debug)]
pub(crate) struct Firehose {
    rng: Rng,
    records: Vec<Record>,
    put: usize,
    /// Lines of records that failed, not yet written.
    failed: Vec<String>,
    objects: usize,
    /// What is written as gzip: a stream that compresses may do so.
    compresses: bool,
    /// Lines of records that the function itself has failed.
    pub(crate) answered_failed: usize,
    /// Lines of batches on which the function failed.
    pub(crate) exhausted: usize,
}

/// A record, with the id that it keeps.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    id: String,
    bytes: Vec<u8>,
}

impl Firehose {
    pub(crate) fn new(mut rng: Rng) -> Self {
        let compresses = rng.u8(0..4) == 0;
        Self {
            rng,
            records: Vec::new(),
            put: 0,
            failed: Vec::new(),
            objects: 0,
            compresses,
            answered_failed: 0,
            exhausted: 0,
        }
    }

    /// Takes a record.
    pub(crate) fn put(&mut self, bytes: Vec<u8>) {
        self.put += 1;
        self.records
            .push(Record { id: format!("4954698668313554428650745793632162567570019247{:010}", self.put), bytes });
    }

    /// Takes the buffered records out, some at a time.
    pub(crate) fn next_batch(&mut self) -> Option<Vec<Record>> {
        let most = self.rng.usize(1..6).min(self.records.len());
        let batch: Vec<Record> = self.records.drain(..most).collect();
        (!batch.is_empty()).then_some(batch)
    }

    /// Asks the function until it answers, as often as Firehose does.
    pub(crate) async fn transform(&mut self, batch: &[Record], mut invoke: impl AsyncFnMut(&Value) -> Outcome) {
        let mut code = "Lambda.FunctionError";
        for attempt in 1..=RETRIES + 1 {
            let event = self.event(batch);
            match invoke(&event).await {
                Outcome::Response(answer) => {
                    if let Some(results) = results(&answer) {
                        return self.settle(batch, &results, attempt);
                    }
                }
                Outcome::TimedOut => code = "Lambda.FunctionTimedOut",
                Outcome::Error(_) | Outcome::NeverTaken => code = "Lambda.FunctionError",
            }
        }
        self.exhausted += batch.len();
        for record in batch {
            self.fail(record, code, RETRIES + 1);
        }
    }

    /// Writes what has failed to the bucket.
    pub(crate) fn flush(&mut self, objects: &ObjectStore) {
        if self.failed.is_empty() {
            return;
        }
        self.objects += 1;
        let key = format!("{FOLDER}logs-1-2026-11-21-18-59-00-{:08x}-{:04}", self.rng.u32(..), self.objects);
        let text: String = self.failed.drain(..).map(|line| line + "\n").collect();
        if self.compresses {
            objects.put(&(key + ".gz"), gzip(text));
        } else {
            objects.put(&key, text);
        }
    }

    fn event(&mut self, batch: &[Record]) -> Value {
        let records: Vec<Value> = batch
            .iter()
            .map(|record| {
                json!({
                    "recordId": record.id,
                    "approximateArrivalTimestamp": ARRIVAL_MS,
                    "data": base64_simd::STANDARD.encode_to_string(&record.bytes),
                })
            })
            .collect();
        json!({
            "invocationId": format!("{:08x}-2222-4333-8444-555555555555", self.rng.u32(..)),
            "deliveryStreamArn": "arn:aws:firehose:us-east-1:111122223333:deliverystream/logs",
            "region": "us-east-1",
            "records": records,
        })
    }

    fn settle(&mut self, batch: &[Record], results: &HashMap<String, (String, usize)>, attempt: usize) {
        for record in batch {
            match results.get(&record.id).map(|(result, times)| (result.as_str(), *times)) {
                Some(("Ok" | "Dropped", 1)) => {}
                Some(("ProcessingFailed", 1)) => {
                    self.answered_failed += 1;
                    self.fail(record, "Lambda.ProcessingFailedStatus", attempt);
                }
                Some((_, 1)) => self.fail(record, "Lambda.InvalidReturnFormat", attempt),
                Some(_) => self.fail(record, "Lambda.DuplicatedRecordId", attempt),
                None => self.fail(record, "Lambda.MissingRecordId", attempt),
            }
        }
    }

    /// Keeps a line: with numbers or texts for numbers, and either spelling of the last key, as both have been seen.
    fn fail(&mut self, record: &Record, code: &str, attempts: usize) {
        let as_text = self.rng.bool();
        let number = |number: u64| if as_text { json!(number.to_string()) } else { json!(number) };
        let mut line = json!({
            "attemptsMade": number(attempts as u64),
            "arrivalTimestamp": number(ARRIVAL_MS),
            "errorCode": code,
            "errorMessage": "a \"message\" of Firehose",
            "attemptEndingTimestamp": number(ARRIVAL_MS + 61_000),
            "rawData": base64_simd::STANDARD.encode_to_string(&record.bytes),
        });
        line[if self.rng.bool() { "lambdaArn" } else { "lambdaARN" }] =
            json!("arn:aws:lambda:us-east-1:111122223333:function:forwarder:live");
        self.failed.push(line.to_string());
    }
}

/// The result for each record id, and how often it stands. Nothing if it is no answer of a transformation.
fn results(answer: &[u8]) -> Option<HashMap<String, (String, usize)>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let mut results: HashMap<String, (String, usize)> = HashMap::new();
    for record in answer.get("records")?.as_array()? {
        let (id, result) = (record.get("recordId")?.as_str()?, record.get("result")?.as_str()?);
        results.entry(id.to_owned()).or_insert((result.to_owned(), 0)).1 += 1;
    }
    Some(results)
}
