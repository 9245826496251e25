//! The measurements of one run, and the figures that follow from them.

use crate::cold::{AtShare, Cold};
use crate::figure::{Figure, megabytes};
use crate::growth::Growth;
use crate::hashes::Implementation;
use crate::measure::{Delivery, Warm};
use crate::peers::Function;
use crate::report::Report;
use crate::stats::{Sample, Summary};

/// The measurements of one run.
pub(crate) struct Measured {
    /// The cold starts at each of [`crate::share::Share::ALL`].
    pub(crate) cold: Vec<Cold>,
    pub(crate) throttled_by: &'static str,
    pub(crate) hello: Warm,
    pub(crate) forgot: Warm,
    pub(crate) reset: Warm,
    /// The time of a reset beyond argon2id and its round trips.
    pub(crate) beyond: Sample,
    pub(crate) turns: [usize; 2],
    pub(crate) delivery: Delivery,
    pub(crate) sizes: [u64; 2],
    pub(crate) argon2id: Vec<Implementation>,
    pub(crate) peers: Vec<Function>,
    pub(crate) growth: Vec<Growth>,
    /// The growth of the half whose calls grow the most.
    pub(crate) largest_growth: Summary,
}

impl Measured {
    pub(crate) fn report(self, machine: String, date: String) -> Report {
        let figures = [self.cold_starts(), self.warm_calls(), self.size_figures()].concat();
        let Self {
            cold,
            throttled_by,
            hello,
            forgot,
            reset,
            argon2id,
            peers,
            growth,
            ..
        } = self;
        let mut functions = vec![
            Function {
                name: "hello world (the floor)".to_owned(),
                cold_forgot: cold.iter().map(|cold| cold.hello.at(cold.share)).collect(),
                warm_forgot: hello.whole.summary(),
                warm_reset: None,
                peak_memory: hello.peak_memory,
            },
            Function {
                name: "Rekey".to_owned(),
                cold_forgot: cold.iter().map(|cold| cold.forgot.at(cold.share)).collect(),
                warm_forgot: forgot.whole.summary(),
                warm_reset: Some(reset.whole.summary()),
                peak_memory: forgot.peak_memory.max(reset.peak_memory),
            },
        ];
        functions.extend(peers);
        Report {
            machine,
            date,
            throttled_by,
            figures,
            functions,
            argon2id,
            growth,
        }
    }

    fn cold_starts(&self) -> Vec<Figure> {
        let [whole, mb1024, mb256] = self.cold.as_slice() else {
            unreachable!("each share is measured");
        };
        let over_hello = |sample: &Sample, cold: &Cold| sample.over(&cold.hello.cpu).summary();
        let times = "times hello world";
        vec![
            Figure::median(
                3.5,
                "cold start of forgot over TLS, CPU time",
                times,
                over_hello(&whole.forgot.cpu, whole),
            ),
            Figure::untargeted(
                "cold start of forgot over TLS, a whole core",
                "ms",
                whole.forgot.whole.summary(),
            ),
            Figure::untargeted(
                "the same at the CPU share of 1024 MB",
                "ms",
                mb1024.forgot.whole.summary(),
            ),
            Figure::untargeted(
                "the same at the CPU share of 256 MB",
                "ms",
                mb256.forgot.whole.summary(),
            ),
            Figure::untargeted(
                "cold start of reset over TLS, 1024 MB, no argon2id",
                "ms",
                mb1024.reset.whole.summary(),
            ),
            Figure::at_least(
                40.0,
                "cold start of the fastest peer, at the worst share",
                "times Rekey's",
                self.fastest_peer(|cold| cold.itself.median),
            ),
            Figure::at_least(
                40.0,
                "the same of its CPU time",
                "times Rekey's",
                self.fastest_peer(|cold| cold.cpu.median),
            ),
        ]
    }

    /// Returns the ratio of the fastest peer to `forgot`, at the share with the smallest ratio.
    fn fastest_peer(&self, of: impl Fn(&AtShare) -> f64) -> f64 {
        let ratios = self.cold.iter().map(|cold| {
            let peers = self.peers.iter().flat_map(|peer| &peer.cold_forgot);
            let peers = peers.filter(|peer| peer.share == cold.share).map(&of);
            peers.fold(f64::INFINITY, f64::min) / of(&cold.forgot.at(cold.share))
        });
        ratios.fold(f64::INFINITY, f64::min)
    }

    fn warm_calls(&self) -> Vec<Figure> {
        let beyond_hello = self.forgot.itself.less(&self.hello.itself).summary();
        let [forgot, reset] = self.turns.map(to_float);
        let (delivery, fastest) = (&self.delivery, self.argon2id[0].ratio);
        vec![
            Figure::median(
                0.25,
                "forgot, warm, AWS at once, beyond hello world",
                "ms",
                beyond_hello,
            ),
            Figure::at_most(1.0, "forgot: round trips to AWS in turn", "number", forgot),
            Figure::at_most(2.0, "reset: round trips to AWS in turn", "number", reset),
            Figure::median(
                0.5,
                "reset, warm, beyond argon2id and round trips",
                "ms",
                self.beyond.summary(),
            ),
            Figure::median(
                1.15,
                "argon2id, over the fastest audited or widely used",
                "times",
                fastest,
            ),
            Figure::at_least(
                60.0,
                "links of one instance, SES at 20 ms",
                "a second",
                delivery.links_per_second,
            ),
            Figure::at_most(
                16.0,
                "emails sent to SES at one time",
                "number",
                to_float(delivery.at_once),
            ),
            Figure::untargeted("a link's CPU time", "ms", delivery.own),
            Figure::median(
                1.25,
                "slowest half at a million rows, over a thousand",
                "times",
                self.largest_growth,
            ),
        ]
    }

    fn size_figures(&self) -> Vec<Figure> {
        const ARGON2: u64 = 19_456 * 1024;
        let forgot = self.forgot.peak_memory.max(self.delivery.peak_memory);
        let reset = self.reset.peak_memory.saturating_sub(ARGON2);
        let [forgot_zip, reset_zip] = self.sizes.map(megabytes);
        vec![
            Figure::at_most(12.0, "peak memory of forgot", "MB", megabytes(forgot)),
            Figure::at_most(
                12.0,
                "peak memory of reset beyond argon2id's",
                "MB",
                megabytes(reset),
            ),
            Figure::at_most(3.0, "zip of forgot", "MB", forgot_zip),
            Figure::at_most(3.0, "zip of reset", "MB", reset_zip),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn to_float(number: usize) -> f64 {
    number as f64
}
