//! Measurements of the peers, by the same method as Rekey's.

use std::fs;
use std::path::Path;

use regex::Regex;
use serde::Serialize;

use crate::aws::Aws;
use crate::cold::{self, AtShare, ColdStarts};
use crate::links;
use crate::runtime_api::Instance;
use crate::share::Share;
use crate::stats::{Sample, Summary};
use crate::subject::{Peer, Subject};

/// The results of a function.
#[derive(Serialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The cold starts at each share of a core.
    pub(crate) cold_forgot: Vec<AtShare>,
    pub(crate) warm_forgot: Summary,
    /// The time with the peer's own hash function, at its default.
    pub(crate) warm_reset: Option<Summary>,
    /// The peak memory, in bytes.
    pub(crate) peak_memory: u64,
}

pub(crate) fn measure(
    aws: &Aws,
    state: &Path,
    cold_rounds: usize,
    warm_rounds: usize,
) -> Vec<Function> {
    let peers: Vec<(Peer, Subject)> = Peer::all()
        .into_iter()
        .enumerate()
        .map(|(n, peer)| {
            let state = state.join(n.to_string());
            fs::create_dir_all(&state).unwrap();
            let subject = peer.prepare(&state);
            (peer, subject)
        })
        .collect();
    let mut cold: Vec<[ColdStarts; 3]> = peers.iter().map(|_| Default::default()).collect();
    let mut warm_up: [ColdStarts; 3] = Default::default();
    // Measure in turn, so that a disturbance of the machine affects all of them. The first round warms the page cache.
    for round in 0..=cold_rounds {
        for ((peer, subject), times) in peers.iter().zip(&mut cold) {
            let times = if round == 0 { &mut warm_up } else { times };
            let event = peer.forgot_event();
            cold::peer(aws, subject, &event, peer.forgot_status, times);
        }
    }
    let warm = peers
        .iter()
        .map(|(peer, subject)| warm(aws, peer, subject, warm_rounds));
    peers
        .iter()
        .zip(cold)
        .zip(warm)
        .map(
            |(((peer, _), cold), (forgot, reset, peak_memory))| Function {
                name: peer.name.clone(),
                cold_forgot: at_each_share(&cold),
                warm_forgot: forgot.summary(),
                warm_reset: Some(reset.summary()),
                peak_memory,
            },
        )
        .collect()
}

fn at_each_share(cold: &[ColdStarts; 3]) -> Vec<AtShare> {
    let shares = Share::ALL.into_iter().zip(cold);
    shares.map(|(share, cold)| cold.at(share)).collect()
}

fn warm(aws: &Aws, peer: &Peer, subject: &Subject, rounds: usize) -> (Sample, Sample, u64) {
    let link = Regex::new(&peer.link).unwrap();
    let (mut forgot, mut reset) = (Sample::default(), Sample::default());
    aws.take_emails();
    let instance = Instance::start(subject, &aws.endpoint, &peer.forgot_event());
    instance.first();
    aws.take_email();
    for _ in 0..rounds {
        let answer = instance.invoke(&peer.forgot_event());
        forgot.push(answer.took());
        let text = links::text(&aws.take_email());
        let captures = link.captures(&text).expect("a link");
        let part = |name| captures.name(name).map_or("", |part| part.as_str());
        let answer = instance.invoke(&peer.reset_event(part("token"), part("uid")));
        assert_eq!(
            answer.status(),
            peer.reset_status,
            "{}: {}",
            peer.name,
            answer.body
        );
        reset.push(answer.took());
    }
    (forgot, reset, instance.peak_memory())
}
