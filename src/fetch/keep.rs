//! Keeps the bodies of pages as they came (`--keep-raw`), and says what has to be known of them to read them again.

use std::sync::Arc;

use url::Url;

use super::body::{Body, BodyHead};
use super::redact::Redaction;
use crate::calendar::now_rfc3339;
use crate::error::Result;
use crate::model::{KeptPage, PageRequest};
use crate::sink::{RawObject, RawObjects};

/// Keeps bodies in a folder.
#[derive(Debug)]
pub struct RawKeeper {
    objects: Arc<RawObjects>,
    redaction: Redaction,
}

impl RawKeeper {
    /// Keeps them among `objects`, and shows URLs as `redaction` says.
    pub fn new(objects: Arc<RawObjects>, redaction: Redaction) -> Self {
        Self { objects, redaction }
    }

    /// A place for the next body.
    pub(super) fn begin(&self) -> Result<RawObject> {
        self.objects.begin()
    }

    /// Puts a body that came whole in its place; none if it did not.
    pub(super) async fn keep(&self, request: &PageRequest, body: &mut Body) -> Result<Option<KeptPage>> {
        let Some(stored) = body.store().await? else { return Ok(None) };
        let BodyHead { form, end_proven, is_compressed_by_name, link, answered_url, notes, .. } = body.head();
        let show = |url: &Url| self.redaction.show(url, url.as_str());
        // As it was sent it may be a path with a secret in its query, which only a URL shows.
        let link = link.as_ref().zip(answered_url.as_ref()).and_then(|(link, from)| from.join(link).ok());
        Ok(Some(KeptPage {
            url: request.shown.to_string(),
            url_sha256: request.location.sha256(),
            ordinal: request.id.ordinal,
            line: request.id.line,
            page: request.id.page,
            fetched_at: now_rfc3339(),
            notes: notes.clone(),
            answered_url: answered_url.as_ref().map(show),
            link: link.as_ref().map(show),
            form: *form,
            end_proven: *end_proven,
            is_compressed_by_name: *is_compressed_by_name,
            bytes: stored.bytes,
            sha256: stored.sha256,
        }))
    }
}
