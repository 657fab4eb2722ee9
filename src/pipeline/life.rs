//! The life of one page: asked for, received, cut into chunks, each of them decoded. What becomes of it goes to
//! the writer step by step.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use url::Url;

use super::ticket::Ticket;
use crate::budget::{ByteBudget, Reservation};
use crate::config::{HttpConfig, ResourceConfig, TransformConfig};
use crate::cpu::CpuPool;
use crate::digest::RunningDigest;
use crate::error::Result;
use crate::fetch::{
    AttemptFault, BACKLOG_BESIDE_BYTES, BacklogRoom, Body, FetchError, Fetcher, PageFetch, RawKeeper,
};
use crate::metrics::Metrics;
use crate::model::{AnswerNotes, KeptPage, Location, PageFault, PageRequest, Received, RunningTrace};
use crate::sink::{Spools, WrittenFiles};
use crate::transform::{Chunk, ChunkFault, Cutter, Decoded, Filter, decode_within};

/// Room for the first bytes of a page whose size is not known.
const FIRST_ROOM_BYTES: usize = 64 << 10;
/// Most bytes of one page that wait in memory instead of on disk.
const BACKLOG_BYTES_MAX: u64 = 8 << 20;
/// Buffers that are kept for the next chunks.
const SPARE_BUFFERS_MAX: usize = 4;
/// Pages ahead of the writer at least, however large they are, and at most: each has a task.
const PAGES_AHEAD_MIN: u64 = 32;
pub(super) const PAGES_AHEAD_MAX: usize = 4096;
/// Bytes of a page besides its body and its columns: its task, its request and its steps.
const PAGE_TASK_BYTES: u64 = 16 << 10;
/// The part of the memory for pages that pages which are put off may take.
const PUT_OFF_DIVISOR: u64 = 8;
/// Bytes of bodies ahead of the writer at most, beyond those pages: small pages may be many, so that latency is hidden.
const AHEAD_BYTES_MAX: u64 = 16 << 20;
/// Column bytes for each hundred of a body, before any page has told: numbers with their features.
const COLUMN_PERCENT_FIRST: u64 = 150;
/// The most that others are expected to have: what becomes more is decoded at the head of the line.
const COLUMN_PERCENT_MAX: u64 = 800;
/// Column bytes of a chunk beyond a quarter more than what was paid for: pages differ, and small ones most.
const ROOM_BESIDE_BYTES: u64 = 64 << 10;

/// What became of a page, in order.
pub(super) enum Step {
    /// A chunk is decoded, or will be.
    Chunk(Decoding),
    /// The attempt failed, and another one begins: the chunks so far are void.
    Void,
    /// The page is complete.
    End(Ended),
    /// The page failed. It may have come whole all the same, and be kept.
    Failed(PageFault, Option<Box<KeptPage>>),
}

/// What is known of a page that is complete, beside its chunks.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Its trace, if it was more than one chunk.
    pub(super) trace: Option<RunningTrace>,
    /// The target of its link to the next page.
    pub(super) link: Option<String>,
    /// The URL that answered.
    pub(super) answered_url: Option<Url>,
    /// Its body as it came, if that is kept.
    pub(super) kept: Option<Box<KeptPage>>,
    /// What its answer said, where that is of interest.
    pub(super) notes: Option<Box<AnswerNotes>>,
    /// The status of the last answer, if it came over HTTP.
    pub(super) http_status: Option<u16>,
    pub(super) attempt_count: u32,
    /// Bytes of its body, decompressed.
    pub(super) body_bytes: u64,
    /// Tells whether the framing of its body proves that it came whole.
    pub(super) end_proven: bool,
    /// Tells whether it was compressed, so that its own end proves it.
    pub(super) was_coded: bool,
}

/// A chunk on the CPU pool, with the bytes that pay for it.
pub(super) struct Decoding {
    pub(super) decoded: DecodedLater,
    pub(super) reservation: Reservation,
}

/// A chunk's batch, once it is decoded.
pub(super) type DecodedLater = Pin<Box<dyn Future<Output = Result<Result<Decoded, ChunkFault>>> + Send>>;

/// What the tasks of a run share.
#[derive(Debug)]
pub(super) struct Line {
    fetcher: Fetcher,
    pub(super) pool: CpuPool,
    pub(super) budget: ByteBudget,
    transform: Arc<TransformConfig>,
    /// That of the configuration. Compiling it takes longer than decoding a small page.
    filter: Option<Arc<Filter>>,
    metrics: Arc<Metrics>,
    /// Pages that may have files open, and do not yet.
    open_pages: Arc<Semaphore>,
    /// Files that a page may not be.
    written: WrittenFiles,
    /// Pages in the line: asked for and not written yet.
    ahead_count: AtomicU64,
    /// Those of them that have an answer.
    inside_count: Arc<AtomicUsize>,
    /// Pages that were put off and are not in the line again.
    put_off_count: AtomicU64,
    put_off_count_max: u64,
    /// Pages of which all has come, or nothing will.
    ended_count: AtomicU64,
    /// Called when the line moved: more pages may be asked for, or all are done.
    moved: Notify,
    /// Pages that failed since the asker looked.
    failed_count: AtomicU64,
    /// Whether not all pages are asked for.
    is_cut_short: AtomicBool,
    /// Whether pages are told apart by what they hold, since they may be turned in vain, or are remembered.
    digests_pages: bool,
    /// Whether it is remembered what answers say.
    notes_answers: bool,
    /// Column bytes that came out of each hundred bytes of body, as a moving average that rises at once.
    column_percent: Arc<AtomicU64>,
    /// Buffers of chunks that are decoded: memory from the system is cleared first, which costs more than
    /// cutting it.
    spare_buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Why an attempt ended without a page, and what it received.
struct Broken {
    fault: AttemptFault,
    received: Option<Received>,
    /// What came, if it came whole and is kept.
    kept: Option<Box<KeptPage>>,
    /// What paid for its body, if there was one, of which the writer may have taken chunks.
    reservation: Option<Reservation>,
}

impl Line {
    /// A line on which pages may take so many bytes of memory.
    pub(super) fn new(
        http: &HttpConfig,
        transform: &TransformConfig,
        resources: &ResourceConfig,
        memory_bytes: u64,
        metrics: Arc<Metrics>,
        spools: Spools,
    ) -> Result<Self> {
        let filter = transform.jq.as_deref().map(Filter::compile).transpose()?;
        let pool = CpuPool::new(resources.thread_count)?;
        let open_pages_max = resources.open_pages_max().min(Semaphore::MAX_PERMITS);
        let http = HttpConfig { concurrency: http.concurrency.min(open_pages_max), ..http.clone() };
        let budget = ByteBudget::new(memory_bytes);
        let fair_share = budget.shared_bytes() / (2 * http.concurrency as u64);
        let memory_bytes_max = fair_share.min(BACKLOG_BYTES_MAX);
        let backlog = BacklogRoom { budget: budget.clone(), memory_bytes_max, spools };
        Ok(Self {
            fetcher: Fetcher::new(&http, backlog, Arc::clone(&metrics), pool.clone())?,
            budget,
            put_off_count_max: memory_bytes / PUT_OFF_DIVISOR / PAGE_TASK_BYTES,
            transform: Arc::new(transform.clone()),
            filter: filter.map(Arc::new),
            pool,
            metrics,
            open_pages: Arc::new(Semaphore::new(open_pages_max)),
            written: WrittenFiles::default(),
            ahead_count: AtomicU64::new(0),
            inside_count: Arc::default(),
            put_off_count: AtomicU64::new(0),
            ended_count: AtomicU64::new(0),
            moved: Notify::new(),
            failed_count: AtomicU64::new(0),
            is_cut_short: AtomicBool::new(false),
            digests_pages: http.pagination.is_on(),
            notes_answers: false,
            column_percent: Arc::new(AtomicU64::new(COLUMN_PERCENT_FIRST)),
            spare_buffers: Arc::default(),
        })
    }

    /// The same line, which keeps bodies as they come.
    pub(super) fn keeping(self, raw: Option<RawKeeper>) -> Self {
        Self { fetcher: self.fetcher.keeping(raw), ..self }
    }

    /// The same line, which reads no page from these files.
    pub(super) fn sparing(self, written: WrittenFiles) -> Self {
        Self { written, ..self }
    }

    /// The same line, which remembers what answers say.
    pub(super) fn remembering(self, remembers: bool) -> Self {
        Self { digests_pages: self.digests_pages || remembers, notes_answers: remembers, ..self }
    }

    /// How bodies become records and columns.
    pub(super) fn transform(&self) -> Arc<TransformConfig> {
        Arc::clone(&self.transform)
    }

    /// Steps of one page that wait for the writer: chunks enough to keep all threads busy.
    pub(super) fn steps_max(&self) -> usize {
        self.pool.thread_count() + 2
    }

    fn spare_buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare_buffers.lock().expect("nobody panics while holding it")
    }

    /// Waits until another page may be asked for: pages that are far ahead of the writer fill no core that is not busy,
    /// and are out of its cache when their turn comes.
    pub(super) async fn go_ahead(&self) {
        while !self.may_go_ahead() {
            // Only the one that asks for pages waits here, and a call that comes before it waits is kept.
            self.moved.notified().await;
        }
    }

    fn may_go_ahead(&self) -> bool {
        let ahead_count = self.ahead_count.load(Ordering::Relaxed);
        if ahead_count < PAGES_AHEAD_MIN {
            return true;
        }
        // Those that came tell how large pages are, and how many may be on their way.
        let ended_count = self.ended_count.load(Ordering::Relaxed);
        let waiting_count = ended_count.saturating_sub(self.metrics.pages_done.get());
        let percent = 100 + self.column_percent.load(Ordering::Relaxed);
        let ahead_bytes = self.metrics.body_bytes.get() / ended_count.max(1) * ahead_count * percent / 100;
        ahead_bytes < AHEAD_BYTES_MAX
            && ahead_count < PAGES_AHEAD_MAX as u64
            && ahead_count.saturating_sub(waiting_count) < PAGES_AHEAD_MIN + ended_count
    }

    /// A place in the line, behind all others. Called with rising turns.
    pub(super) async fn ticket(&self, turn: u64) -> Ticket {
        let open_pages = Arc::clone(&self.open_pages);
        let open = open_pages.acquire_owned().await.expect("the semaphore is never closed");
        self.ticket_with(turn, Some(open)).await
    }

    /// A place in the line for a page that is not asked for, and so opens no file.
    pub(super) async fn ticket_without_files(&self, turn: u64) -> Ticket {
        self.ticket_with(turn, None).await
    }

    async fn ticket_with(&self, turn: u64, open: Option<OwnedSemaphorePermit>) -> Ticket {
        let reservation = self.budget.reserve(turn).await;
        self.ahead_count.fetch_add(1, Ordering::Relaxed);
        Ticket::new(turn, reservation, open, Arc::clone(&self.inside_count))
    }

    /// Lets a page that was put off into the line again, behind all others.
    pub(super) fn let_in(&self, turn: u64, ticket: &Ticket) {
        self.ahead_count.fetch_add(1, Ordering::Relaxed);
        self.put_off_count.fetch_sub(1, Ordering::Relaxed);
        ticket.let_in(self.budget.reserve_at_once(turn));
    }

    /// Puts off the page that the writer waits for, if it must wait long, others need not, and it `may_be_put_off`;
    /// else sees to it that the page goes on. Returns whether it is put off.
    pub(super) fn put_off(&self, ticket: &Ticket, may_be_put_off: bool) -> bool {
        if !ticket.is_outside() || !ticket.waiting.is_late() {
            return false;
        }
        let has_room = self.put_off_count.load(Ordering::Relaxed) < self.put_off_count_max;
        let others_go_on = self.inside_count.load(Ordering::Relaxed) > 0;
        if !(may_be_put_off && others_go_on && has_room) {
            ticket.waiting.urge();
            self.fetcher.nobody_goes_on();
            return false;
        }
        let is_put_off = ticket.put_off();
        if is_put_off {
            self.put_off_count.fetch_add(1, Ordering::Relaxed);
            self.leave_the_line();
        }
        is_put_off
    }

    /// Says that a page is written, or has failed.
    pub(super) fn page_done(&self) {
        self.metrics.pages_done.add(1);
        self.leave_the_line();
    }

    fn leave_the_line(&self) {
        self.ahead_count.fetch_sub(1, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// Says that a page failed: another one may be done instead.
    pub(super) fn page_failed(&self) {
        self.failed_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until one of the pages that were asked for failed, or all are done; returns how many failed since.
    pub(super) async fn failures(&self) -> u64 {
        loop {
            let is_idle = self.is_idle();
            let failed_count = self.failed_count.swap(0, Ordering::Relaxed);
            if failed_count > 0 || is_idle {
                return failed_count;
            }
            self.moved.notified().await;
        }
    }

    /// Says that no more pages are asked for, though there are some.
    pub(super) fn cut_short(&self) {
        self.is_cut_short.store(true, Ordering::Relaxed);
    }

    /// Whether there are pages that are not asked for.
    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short.load(Ordering::Relaxed)
    }

    /// Says that all pages of the list are asked for.
    pub(super) fn list_is_over(&self) {
        self.fetcher.all_are_asked_for();
    }

    /// Says that the run is over, so that no page is asked for any more.
    pub(super) fn run_is_over(&self) {
        self.fetcher.run_is_over();
    }

    /// Waits until all pages that were asked for are done.
    pub(super) async fn all_done(&self) {
        while !self.is_idle() {
            self.moved.notified().await;
        }
    }

    fn is_idle(&self) -> bool {
        self.ahead_count.load(Ordering::Relaxed) + self.put_off_count.load(Ordering::Relaxed) == 0
    }

    /// Everything that a page goes through before it is written.
    pub(super) async fn life_of_a_page(
        self: Arc<Self>,
        request: PageRequest,
        ticket: Arc<Ticket>,
        steps: mpsc::Sender<Step>,
    ) -> Result<()> {
        if let Location::File(path) = &request.location {
            self.written.check_is_none(&format!("the page of {}:", request.id), path)?;
        }
        let mut fetch = self.fetcher.begin(&request, Arc::clone(&ticket.waiting));
        let mut is_again = false;
        let last_step = loop {
            let Broken { fault, received, kept, reservation } =
                match self.attempt(&mut fetch, &ticket, &steps, is_again).await? {
                    Ok((ended, reservation)) => {
                        reservation.learn();
                        break Step::End(ended);
                    }
                    Err(broken) => broken,
                };
            // What the host refused, perhaps many times, leaves nothing to take back, and the steps have few places.
            if let Some(mut reservation) = reservation {
                if steps.send(Step::Void).await.is_err() {
                    return Ok(());
                }
                reservation.shrink_to(0);
                ticket.step_out(reservation);
            }
            if let Err(end) = fetch.wait_after(fault).await {
                ticket.enter().await.learn();
                break Step::Failed(PageFault { received: received.or(end.received), ..end }, kept);
            }
            is_again = true;
        };
        self.ended_count.fetch_add(1, Ordering::Relaxed);
        self.moved.notify_one();
        // The writer has gone where the page failed in one of its chunks: nobody is left to tell.
        drop(steps.send(last_step).await);
        Ok(())
    }

    async fn attempt(
        &self,
        fetch: &mut PageFetch<'_>,
        ticket: &Ticket,
        steps: &mpsc::Sender<Step>,
        is_again: bool,
    ) -> Result<Result<(Ended, Reservation), Broken>> {
        let asked = Instant::now();
        let no_body = |fault| Ok(Err(Broken { fault, received: None, kept: None, reservation: None }));
        let mut body = match fetch.open().await {
            Ok(body) => body,
            Err(FetchError::Attempt(fault)) => return no_body(fault),
            Err(FetchError::Run(error)) => return Err(error),
        };
        // A page that was put off waits for a place in the line.
        let mut reservation = match body.wait_for(ticket.enter()).await {
            Ok(reservation) => reservation,
            Err(FetchError::Attempt(fault)) => return no_body(fault),
            Err(FetchError::Run(error)) => return Err(error),
        };
        let mut cutter = Cutter::new(&self.transform, body.form());
        let mut trace = None;
        let taken =
            self.take_body(&mut body, &mut cutter, &mut trace, &mut reservation, steps, is_again).await;
        self.metrics.fetch_time.add(asked.elapsed());
        match taken {
            Ok(()) => {
                let kept = fetch.keep(&mut body).await?.map(Box::new);
                let (link, answered_url) = body.next_page();
                let notes = self.notes_answers.then(|| Box::new(body.notes().clone()));
                let (attempt_count, body_bytes) = (fetch.attempt_count(), body.body_bytes());
                let http_status = fetch.http_status();
                let (end_proven, was_coded) = (body.end_proven(), body.was_coded());
                let ended = Ended {
                    trace,
                    link,
                    answered_url,
                    kept,
                    notes,
                    http_status,
                    attempt_count,
                    body_bytes,
                    end_proven,
                    was_coded,
                };
                Ok(Ok((ended, reservation)))
            }
            Err(FetchError::Run(error)) => Err(error),
            Err(FetchError::Attempt(fault)) => {
                let trace = trace.unwrap_or_else(|| trace_of(cutter.buffer()));
                let received = trace_the_rest(&mut body, trace).await;
                let kept = fetch.keep_unread(&mut body).await?.map(Box::new);
                Ok(Err(Broken { fault, received, kept, reservation: Some(reservation) }))
            }
        }
    }

    /// Receives a body, chunk by chunk. A page goes beyond its first chunk only at the head of the line.
    async fn take_body(
        &self,
        body: &mut Body,
        cutter: &mut Cutter,
        trace: &mut Option<RunningTrace>,
        reservation: &mut Reservation,
        steps: &mpsc::Sender<Step>,
        is_again: bool,
    ) -> Result<(), FetchError> {
        let mut is_over = false;
        while !cutter.is_over() {
            while !is_over && cutter.bytes_wanted() > 0 {
                let length = self.make_room(body, cutter, reservation).await?;
                let length_before = cutter.buffer().len();
                let filled = body.fill(cutter.buffer(), length).await;
                if let Some(trace) = trace {
                    // Less than a millisecond: a hop to the pool would wait behind the chunks that are decoded.
                    trace.update(&cutter.buffer()[length_before..]);
                }
                is_over = filled?;
            }
            let Some(chunk) = self.cut(cutter, is_over.then(|| body.end_proven())).await? else {
                continue;
            };
            let is_whole_page = chunk.is_whole_page();
            if !is_whole_page && trace.is_none() {
                let mut begun = trace_of(chunk.bytes());
                begun.update(cutter.buffer());
                *trace = Some(begun);
            }
            if is_again && !is_whole_page {
                // The steps of the attempts before may be all that the writer's queue has room for.
                body.wait_for(reservation.reach_head()).await?;
            }
            // What the page goes on holding, whatever becomes of the chunk.
            let kept_bytes = if is_whole_page { 0 } else { body.memory_bytes() + BACKLOG_BESIDE_BYTES };
            // It goes on receiving: its host may take no other request until this one is over.
            let decoding = body.wait_for(self.decode(chunk, reservation, kept_bytes)).await??;
            if steps.send(Step::Chunk(decoding)).await.is_err() {
                return Ok(());
            }
            if !is_whole_page {
                body.wait_for(reservation.reach_head()).await?;
            }
        }
        // Whether a broken text is what was meant is known once all of it has come.
        let mut rest = Vec::new();
        while !is_over {
            rest.clear();
            self.pay(body, reservation, FIRST_ROOM_BYTES as u64).await?;
            let filled = body.fill(&mut rest, FIRST_ROOM_BYTES).await;
            if let Some(trace) = trace {
                trace.update(&rest);
            }
            is_over = filled?;
        }
        Ok(())
    }

    /// Makes room for the bytes that come next, and pays for it and for the columns that they become. Returns
    /// how long the buffer may get.
    async fn make_room(
        &self,
        body: &mut Body,
        cutter: &mut Cutter,
        reservation: &mut Reservation,
    ) -> Result<usize, FetchError> {
        let wanted = cutter.bytes_wanted();
        let is_at_start = cutter.is_at_start();
        let buffer = cutter.buffer();
        let expected = body.expected_bytes().and_then(|bytes| usize::try_from(bytes).ok());
        let step = match expected {
            _ if !is_at_start => wanted,
            // One byte more, so that the end is met without another step.
            Some(expected) if expected >= buffer.len() => expected - buffer.len() + 1,
            _ => buffer.len().max(FIRST_ROOM_BYTES),
        };
        let length = buffer.len() + step.min(wanted);
        let bytes = self.cost(length.max(buffer.capacity()), length);
        self.pay(body, reservation, bytes).await?;
        buffer.reserve_exact(length - buffer.len());
        Ok(length)
    }

    /// Pays for so many bytes, and for those that the body holds beside them.
    async fn pay(
        &self,
        body: &mut Body,
        reservation: &mut Reservation,
        bytes: u64,
    ) -> Result<(), FetchError> {
        if !reservation.try_grow_to(bytes + body.memory_bytes()) {
            body.wait_for(reservation.reach_head()).await?;
            reservation.grow_to(bytes + body.memory_bytes()).await;
        }
        body.pay();
        Ok(())
    }

    /// Bytes that a buffer of this capacity costs, with the columns that its bytes become.
    fn cost(&self, capacity: usize, length: usize) -> u64 {
        capacity as u64 + length as u64 * self.column_percent.load(Ordering::Relaxed) / 100
    }

    /// The next chunk, if one can be cut. What takes long is for the pool.
    async fn cut(&self, cutter: &mut Cutter, end_proven: Option<bool>) -> Result<Option<Chunk>> {
        if cutter.wants_spare()
            && let Some(buffer) = self.spare_buffers().pop()
        {
            cutter.give_spare(buffer);
        }
        if cutter.cuts_lines() || cutter.is_at_start() && cutter.bytes_wanted() > 0 {
            return Ok(cutter.cut(end_proven));
        }
        let mut lent = std::mem::replace(cutter, Cutter::new(&self.transform, cutter.form()));
        let chunk;
        (*cutter, chunk) = self
            .pool
            .run(move || {
                let chunk = lent.cut(end_proven);
                (lent, chunk)
            })
            .await?;
        Ok(chunk)
    }

    /// Starts to decode a chunk, which takes all that was paid so far with it, but for `kept_bytes`. The first chunk
    /// of a page is waited for, so that it holds, and has paid for, its columns alone until it is written.
    async fn decode(&self, chunk: Chunk, reservation: &mut Reservation, kept_bytes: u64) -> Result<Decoding> {
        let is_first = chunk.is_first();
        // What was cut off a larger buffer is not paid for yet; only the head of the line can come by that.
        reservation.grow_to(self.cost(chunk.capacity(), chunk.len()) + kept_bytes).await;
        let paid_bytes = self.cost(0, chunk.len());
        let room_bytes = paid_bytes + paid_bytes / 4 + ROOM_BESIDE_BYTES;
        let decoded = self.start_to_decode(chunk, self.digests_pages, room_bytes as usize);
        if !is_first {
            let reservation = reservation.split_all_but(kept_bytes);
            return Ok(Decoding { decoded: Box::pin(decoded), reservation });
        }
        let decoded = decoded.await?;
        if let Ok(Decoded { batch, rest, .. }) = &decoded {
            let rest_bytes = rest.as_ref().map_or(0, Chunk::capacity) as u64;
            let held_bytes = batch.memory_bytes() + rest_bytes + PAGE_TASK_BYTES;
            // What it can't pay any more counts for the pages that come next: they expect as much.
            reservation.try_grow_to(held_bytes + kept_bytes);
            reservation.shrink_to(held_bytes + kept_bytes);
        }
        let decoded = Box::pin(std::future::ready(Ok(decoded)));
        Ok(Decoding { decoded, reservation: reservation.split_all_but(kept_bytes) })
    }

    fn start_to_decode(
        &self,
        chunk: Chunk,
        digests: bool,
        room_bytes: usize,
    ) -> impl Future<Output = Result<Result<Decoded, ChunkFault>>> + Send + 'static {
        let transform = Arc::clone(&self.transform);
        let filter = self.filter.clone();
        let metrics = Arc::clone(&self.metrics);
        let column_percent = Arc::clone(&self.column_percent);
        let spare_buffers = Arc::clone(&self.spare_buffers);
        self.pool.run(move || {
            let begun = Instant::now();
            let body_bytes = chunk.len();
            let digest = digests.then(|| digest_of(chunk.bytes()));
            let mut decoded = decode_within(room_bytes, chunk, &transform, filter.as_deref());
            let is_empty = decoded.as_ref().is_ok_and(Decoded::is_empty);
            if let Ok(Decoded { batch, rest, spent }) = &mut decoded {
                batch.digest = digest;
                let taken_bytes = body_bytes - rest.as_ref().map_or(0, Chunk::len);
                if !is_empty {
                    learn_percent(&column_percent, batch.memory_bytes(), taken_bytes as u64);
                }
                keep_spare(&spare_buffers, std::mem::take(spent), transform.chunk_bytes);
            }
            metrics.decode_time.add(begun.elapsed());
            decoded
        })
    }

    /// Goes on with what is left of a chunk, with all the room that a record may have: called for one chunk at a time.
    pub(super) async fn decode_rest(&self, rest: Chunk) -> Result<Result<Decoded, ChunkFault>> {
        self.start_to_decode(rest, false, usize::MAX).await
    }
}

/// Adds what was received of a broken body and not taken yet, so that its trace is that of all bytes that came.
async fn trace_the_rest(body: &mut Body, mut trace: RunningTrace) -> Option<Received> {
    let mut rest = Vec::new();
    loop {
        let filled = body.fill(&mut rest, FIRST_ROOM_BYTES).await;
        trace.update(&rest);
        // Its end is the fault that is known already. Nothing comes where a decoder would have to be paid for.
        if !matches!(filled, Ok(false)) || rest.is_empty() {
            break;
        }
        rest.clear();
    }
    let received = trace.finish();
    (received.size > 0).then_some(received)
}

fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut digest = RunningDigest::default();
    digest.update(bytes);
    digest.finish()
}

fn trace_of(bytes: &[u8]) -> RunningTrace {
    let mut trace = RunningTrace::default();
    trace.update(bytes);
    trace
}

/// Keeps the buffer of a usual chunk, if there are not enough already.
fn keep_spare(spare_buffers: &Mutex<Vec<Vec<u8>>>, buffer: Vec<u8>, chunk_bytes: usize) {
    let is_usual = (chunk_bytes..=chunk_bytes + chunk_bytes / 8).contains(&buffer.capacity());
    let mut spare_buffers = spare_buffers.lock().expect("nobody panics while holding it");
    if is_usual && spare_buffers.len() < SPARE_BUFFERS_MAX {
        spare_buffers.push(buffer);
    }
}

/// Takes account of the columns that a chunk became: at once where they are more than usual, else by and by.
fn learn_percent(column_percent: &AtomicU64, column_bytes: u64, body_bytes: u64) {
    let percent = (column_bytes * 100).checked_div(body_bytes).unwrap_or_default().min(COLUMN_PERCENT_MAX);
    let usual = column_percent.load(Ordering::Relaxed);
    let learned = if percent > usual { percent } else { usual - usual / 16 + percent / 16 };
    column_percent.store(learned, Ordering::Relaxed);
}
