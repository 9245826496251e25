//! A clock that moves only when a test moves it.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

#[derive(Debug)]
pub struct Clock {
    now: Mutex<Timestamp>,
    step: Mutex<SignedDuration>,
}

impl Clock {
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Mutex::new(now),
            step: Mutex::default(),
        }
    }

    pub fn advance(&self, duration: SignedDuration) {
        *self.now.lock().unwrap() += duration;
    }

    /// Makes each reading advance the clock by this duration.
    pub fn step(&self, duration: SignedDuration) {
        *self.step.lock().unwrap() = duration;
    }

    pub fn now(&self) -> Timestamp {
        let mut now = self.now.lock().unwrap();
        let read = *now;
        *now += *self.step.lock().unwrap();
        read
    }
}
