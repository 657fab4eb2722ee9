//! The lines in front of hosts, against servers that are played in paused time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::config::{Rate, RetryConfig};

const RETRY_MAX_TIME: Duration = Duration::from_secs(300);

fn hosts(config: HttpConfig) -> Arc<Hosts> {
    Arc::new(Hosts::new(config, Arc::default()))
}

fn url() -> Url {
    Url::parse("http://host/page").unwrap()
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const SERVED: Notice = Notice { sign: None, pause: None };
const REFUSED: Notice = Notice { sign: Some(Sign::Refusal), pause: None };

fn refused_for(pause: Duration) -> Notice {
    Notice { pause: Some(pause), ..REFUSED }
}

/// How a server answers.
#[derive(Clone, Copy)]
enum Manner {
    /// Each request after this time, whatever their number.
    Steady,
    /// In one to three times the time.
    Noisy,
    /// No more than so many at once; others are refused after the other time.
    Refusing { at_once: usize, refusal: Duration },
    /// No more than so many at once; others wait.
    Queueing { at_once: usize },
}

/// What became of requests to it.
#[derive(Default)]
struct Outcome {
    /// When each good answer came, since the beginning.
    served: Vec<Duration>,
    refused: Vec<Duration>,
    /// How many were in flight when each was sent.
    in_flight: Vec<usize>,
}

/// Sends as many pages as the limits allow, refused ones again, until all are served.
async fn send_pages(config: HttpConfig, page_count: u64, latency: Duration, manner: Manner) -> Outcome {
    let hosts = hosts(config);
    let began = Instant::now();
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let busy_count = Arc::new(AtomicUsize::new(0));
    let workers = Arc::new(Semaphore::new(match manner {
        Manner::Queueing { at_once } => at_once,
        _ => Semaphore::MAX_PERMITS,
    }));
    // As many tasks as a run has: pages join the line in order.
    let next = Arc::new(Mutex::new(0..page_count));
    let mut tasks = JoinSet::new();
    for seed in 0..128 {
        let (hosts, outcome, busy_count) =
            (Arc::clone(&hosts), Arc::clone(&outcome), Arc::clone(&busy_count));
        let (workers, next) = (Arc::clone(&workers), Arc::clone(&next));
        tasks.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            while let Some(ordinal) = { next.lock().unwrap().next() } {
                loop {
                    let leave = hosts.leave(&url(), &Waiting::new(ordinal)).await.unwrap();
                    let busy = busy_count.fetch_add(1, Ordering::Relaxed) + 1;
                    outcome.lock().unwrap().in_flight.push(busy);
                    let is_refused = match manner {
                        Manner::Refusing { at_once, refusal } if busy > at_once => {
                            busy_count.fetch_sub(1, Ordering::Relaxed);
                            sleep(refusal).await;
                            true
                        }
                        _ => {
                            let _worker = workers.acquire().await.unwrap();
                            let noise =
                                if let Manner::Noisy = manner { 1.0 + 2.0 * random.f64() } else { 1.0 };
                            sleep(latency.mul_f64(noise)).await;
                            busy_count.fetch_sub(1, Ordering::Relaxed);
                            false
                        }
                    };
                    leave.answered(if is_refused { REFUSED } else { SERVED });
                    drop(leave);
                    let mut outcome = outcome.lock().unwrap();
                    if is_refused {
                        outcome.refused.push(began.elapsed());
                    } else {
                        outcome.served.push(began.elapsed());
                        break;
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    Arc::into_inner(outcome).unwrap().into_inner().unwrap()
}

fn count_after(times: &[Duration], begin: Duration) -> usize {
    times.iter().filter(|time| **time > begin).count()
}

#[tokio::test(start_paused = true)]
async fn host_without_limits_is_soon_asked_for_as_much_as_is_allowed() {
    for manner in [Manner::Steady, Manner::Noisy] {
        let Outcome { served, in_flight, .. } =
            send_pages(HttpConfig::default(), 2000, millis(50), manner).await;
        let mean = if let Manner::Noisy = manner { millis(100) } else { millis(50) };
        let ideal = mean * 2000 / 128;
        let took = *served.last().unwrap();
        assert!(took < ideal * 13 / 10, "{took:?} instead of {ideal:?}");
        assert!(in_flight[..16].iter().max() == Some(&16), "it begins with 16");
        assert_eq!(in_flight.iter().max(), Some(&128));
    }
}

#[tokio::test(start_paused = true)]
async fn host_that_takes_twenty_at_once_is_kept_busy_and_hardly_has_to_refuse() {
    for (at_once, refusal) in [(20, millis(1)), (20, millis(50)), (5, millis(1)), (60, millis(20))] {
        let latency = millis(50);
        let warm_up = latency * 60;
        let page_count = at_once as u64 * 300;
        let manner = Manner::Refusing { at_once, refusal };
        let Outcome { served, refused, .. } =
            send_pages(HttpConfig::default(), page_count, latency, manner).await;
        let after = served.last().unwrap().saturating_sub(warm_up);
        let ideal = after.as_secs_f64() / latency.as_secs_f64() * at_once as f64;
        let served = count_after(&served, warm_up) as f64;
        let refused = count_after(&refused, warm_up) as f64;
        assert!(served >= 0.9 * ideal, "{at_once} at once: {served} served instead of {ideal}");
        assert!(refused < 0.02 * served, "{at_once} at once: {refused} refused beside {served}");
    }
}

#[tokio::test(start_paused = true)]
async fn host_that_becomes_slow_is_not_asked_for_more_than_helps() {
    let manner = Manner::Queueing { at_once: 24 };
    let Outcome { served, in_flight, .. } =
        send_pages(HttpConfig::default(), 12_000, millis(20), manner).await;
    let ideal = millis(20) * 12_000 / 24;
    let took = *served.last().unwrap();
    assert!(took < ideal * 21 / 20, "{took:?} instead of {ideal:?}");
    let late = &in_flight[in_flight.len() / 2..in_flight.len() - 200];
    let most = *late.iter().max().unwrap();
    assert!((24..=80).contains(&most), "{most} in flight where 24 are enough");
}

#[tokio::test(start_paused = true)]
async fn fixed_number_stays_whatever_the_host_says() {
    let hosts = hosts(HttpConfig { concurrency_per_host: Some(3), ..HttpConfig::default() });
    for _ in 0..5 {
        let mut leaves = Vec::new();
        for ordinal in 0..3 {
            leaves.push(hosts.leave(&url(), &Waiting::new(ordinal)).await.unwrap());
        }
        let fourth = tokio::time::timeout(millis(1), hosts.leave(&url(), &Waiting::new(3))).await;
        assert!(fourth.is_err(), "a fourth");
        for leave in leaves {
            leave.answered(REFUSED);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pause_that_a_host_asks_for_holds_for_all_of_its_pages_and_once() {
    let hosts = hosts(HttpConfig::default());
    let began = Instant::now();
    let mut leaves = Vec::new();
    for ordinal in 0..16 {
        leaves.push(hosts.leave(&url(), &Waiting::new(ordinal)).await.unwrap());
    }
    for (place, leave) in leaves.drain(..).enumerate() {
        sleep(millis(10)).await;
        let is_of_crowd = leave.answered(refused_for(Duration::from_secs(2)));
        assert_eq!(is_of_crowd, place > 0, "the first of them tells");
    }
    let other = Url::parse("http://host:81/page").unwrap();
    drop(hosts.leave(&other, &Waiting::new(99)).await.unwrap());
    assert_eq!(began.elapsed(), millis(160), "another host goes on");

    // The level was cut once, so that half of the sixteen may be in flight.
    for ordinal in 0..8 {
        leaves.push(hosts.leave(&url(), &Waiting::new(ordinal)).await.unwrap());
    }
    let resumed = began.elapsed();
    assert!((2010..2013).contains(&resumed.as_millis()), "two seconds from the first refusal: {resumed:?}");
    assert!(tokio::time::timeout(millis(1), hosts.leave(&url(), &Waiting::new(8))).await.is_err(), "a ninth");
    assert_eq!(hosts.metrics.hosts_paused_ms.get() / 10, 185, "pages waited from 0.16 s to 2.01 s");
}

#[tokio::test(start_paused = true)]
async fn used_up_quota_of_a_good_answer_is_a_pause_and_no_cut() {
    let hosts = hosts(HttpConfig::default());
    let began = Instant::now();
    let leave = hosts.leave(&url(), &Waiting::new(0)).await.unwrap();
    leave.answered(Notice { pause: Some(Duration::from_secs(30)), ..SERVED });
    drop(leave);
    let mut leaves = Vec::new();
    for ordinal in 1..17 {
        leaves.push(hosts.leave(&url(), &Waiting::new(ordinal)).await.unwrap());
    }
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn pause_is_no_longer_than_a_page_may_be_tried_again() {
    let hosts = hosts(HttpConfig::default());
    let began = Instant::now();
    hosts.leave(&url(), &Waiting::new(0)).await.unwrap().answered(refused_for(Duration::from_secs(1 << 30)));
    drop(hosts.leave(&url(), &Waiting::new(1)).await.unwrap());
    assert_eq!(began.elapsed().as_secs(), RETRY_MAX_TIME.as_secs());
}

#[tokio::test(start_paused = true)]
async fn host_that_serves_nobody_for_that_long_is_given_up_for_all_who_wait() {
    let hosts = hosts(HttpConfig::default());
    let began = Instant::now();
    let given_up_count = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for ordinal in 0..100 {
        let (hosts, given_up_count) = (Arc::clone(&hosts), Arc::clone(&given_up_count));
        tasks.spawn(async move {
            while let Ok(leave) = hosts.leave(&url(), &Waiting::new(ordinal)).await {
                sleep(millis(50)).await;
                leave.answered(refused_for(Duration::from_secs(60)));
            }
            given_up_count.fetch_add(1, Ordering::Relaxed);
        });
    }
    tasks.join_all().await;
    assert_eq!(given_up_count.load(Ordering::Relaxed), 100);
    let took = began.elapsed();
    assert!(took >= RETRY_MAX_TIME && took < RETRY_MAX_TIME + Duration::from_secs(61), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn host_that_serves_somebody_now_and_then_is_not_given_up() {
    let hosts = hosts(HttpConfig::default());
    for round in 0..20 {
        let leave = hosts.leave(&url(), &Waiting::new(0)).await.unwrap();
        leave.answered(if round % 4 == 3 { SERVED } else { refused_for(Duration::from_secs(90)) });
    }
}

#[tokio::test(start_paused = true)]
async fn earliest_page_goes_first() {
    let rate = Some(Rate { interval: millis(100) });
    for (concurrency_per_host, rate) in [(Some(1), None), (None, rate)] {
        let hosts = hosts(HttpConfig { concurrency_per_host, rate, ..HttpConfig::default() });
        let leave = hosts.leave(&url(), &Waiting::new(0)).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for ordinal in [5, 3, 9, 1, 7] {
            let (hosts, order) = (Arc::clone(&hosts), Arc::clone(&order));
            tasks.spawn(async move {
                let _leave = hosts.leave(&url(), &Waiting::new(ordinal)).await.unwrap();
                order.lock().unwrap().push(ordinal);
            });
        }
        sleep(millis(1)).await;
        drop(leave);
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), [1, 3, 5, 7, 9]);
    }
}

#[tokio::test(start_paused = true)]
async fn page_that_is_given_up_leaves_the_line_and_what_it_had() {
    let hosts = hosts(HttpConfig { concurrency_per_host: Some(1), ..HttpConfig::default() });
    let leave = hosts.leave(&url(), &Waiting::new(0)).await.unwrap();
    let second_had_leave = Arc::new(AtomicBool::new(false));
    let second = tokio::spawn({
        let (hosts, had_leave) = (Arc::clone(&hosts), Arc::clone(&second_had_leave));
        async move {
            let _leave = hosts.leave(&url(), &Waiting::new(1)).await.unwrap();
            had_leave.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
    });
    let mut third = tokio::spawn({
        let hosts = Arc::clone(&hosts);
        async move { drop(hosts.leave(&url(), &Waiting::new(2)).await.unwrap()) }
    });
    sleep(millis(1)).await;
    drop(leave);
    assert!(tokio::time::timeout(millis(1), &mut third).await.is_err(), "it is the turn of the second");
    assert!(second_had_leave.load(Ordering::Relaxed));
    second.abort();
    third.await.unwrap();

    let leave = hosts.leave(&url(), &Waiting::new(3)).await.unwrap();
    assert!(tokio::time::timeout(millis(1), hosts.leave(&url(), &Waiting::new(4))).await.is_err());
    drop(leave);
    drop(hosts.leave(&url(), &Waiting::new(5)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn timeouts_and_vague_refusals_lower_the_level_but_not_far() {
    let hosts = hosts(HttpConfig::default());
    for _ in 0..20 {
        sleep(millis(1)).await;
        hosts.leave(&url(), &Waiting::new(0)).await.unwrap().timed_out();
        sleep(millis(1)).await;
        hosts
            .leave(&url(), &Waiting::new(0))
            .await
            .unwrap()
            .answered(Notice { sign: Some(Sign::Vague), pause: None });
    }
    let mut leaves = Vec::new();
    while let Ok(leave) = tokio::time::timeout(millis(1), hosts.leave(&url(), &Waiting::new(0))).await {
        leaves.push(leave);
    }
    assert_eq!(leaves.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn rate_is_that_of_one_host() {
    let rate = Some(Rate { interval: millis(100) });
    let hosts = hosts(HttpConfig { rate, ..HttpConfig::default() });
    let began = Instant::now();
    for ordinal in 0..11 {
        drop(hosts.leave(&url(), &Waiting::new(ordinal)).await.unwrap());
        drop(hosts.leave(&Url::parse("https://host/").unwrap(), &Waiting::new(ordinal)).await.unwrap());
    }
    assert!((1000..1012).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn list_of_many_hosts_keeps_little_of_each() {
    let hosts = hosts(HttpConfig::default());
    let paused = hosts.leave(&url(), &Waiting::new(0)).await.unwrap();
    paused.answered(refused_for(Duration::from_secs(100)));
    drop(paused);
    for number in 0..5000 {
        let url = Url::parse(&format!("http://host-{number}/")).unwrap();
        drop(hosts.leave(&url, &Waiting::new(number)).await.unwrap());
    }
    assert!(hosts.hosts.lock().unwrap().len() <= HOSTS_KEPT_MAX);
    let began = Instant::now();
    drop(hosts.leave(&url(), &Waiting::new(1)).await.unwrap());
    assert_eq!(began.elapsed().as_secs(), 100, "what a host asked for is kept");
}

#[tokio::test(start_paused = true)]
async fn slow_rate_outlasts_a_list_of_many_hosts() {
    let rate = Some(Rate { interval: Duration::from_secs(600) });
    let hosts = hosts(HttpConfig { rate, ..HttpConfig::default() });
    let began = Instant::now();
    for number in 0..1000 {
        drop(
            hosts
                .leave(&Url::parse(&format!("http://host-{number}/")).unwrap(), &Waiting::new(number))
                .await
                .unwrap(),
        );
    }
    drop(hosts.leave(&Url::parse("http://host-0/").unwrap(), &Waiting::new(1000)).await.unwrap());
    assert_eq!(began.elapsed().as_secs(), 600);
}

#[test]
fn the_time_is_that_of_the_default() {
    assert_eq!(RetryConfig::default().retry_max_time, RETRY_MAX_TIME);
}
