//! A sender of webhooks that repeats those that were not accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::deployment::{Place, SECRET, post_webhook};

/// Maximum number of concurrent webhooks.
const AT_A_TIME: usize = 8;
/// Wait before a webhook is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Longer than any outage in these tests.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends webhooks until each has been answered with 200.
#[derive(Debug, Default)]
pub struct Sender {
    taken: AtomicUsize,
    acknowledged: Mutex<BTreeSet<String>>,
    answers: Mutex<BTreeMap<Option<u16>, usize>>,
    given_up: AtomicBool,
}

impl Sender {
    /// Returns the number of webhooks answered with 200 so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Returns the ids of the webhooks answered with 200 so far.
    pub fn acknowledged(&self) -> BTreeSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Returns the number of answers by status; `None` counts attempts without an answer.
    pub fn answers(&self) -> BTreeMap<Option<u16>, usize> {
        self.answers.lock().unwrap().clone()
    }

    /// Sends all bodies, roughly in order, to the places in turn.
    pub fn send(&self, places: &[Place], bodies: &[String]) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let Some(body) = bodies.get(number) else { return };
                        self.send_one(places[number % places.len()], body);
                    }
                });
            }
        });
        assert!(!self.given_up.load(Ordering::SeqCst), "every webhook is taken in the end: {:?}", self.answers());
    }

    fn send_one(&self, place: Place, body: &str) {
        let began = Instant::now();
        while !self.given_up.load(Ordering::SeqCst) {
            let status = post_webhook(place, SECRET, body).ok().map(|answer| answer.status);
            *self.answers.lock().unwrap().entry(status).or_default() += 1;
            if status == Some(200) {
                let webhook: serde_json::Value = serde_json::from_str(body).unwrap();
                self.acknowledged.lock().unwrap().insert(webhook["id"].as_str().unwrap().to_owned());
                self.taken.fetch_add(1, Ordering::SeqCst);
                return;
            }
            std::thread::sleep(AGAIN_AFTER);
            if began.elapsed() > PATIENCE {
                self.given_up.store(true, Ordering::SeqCst);
            }
        }
    }
}
