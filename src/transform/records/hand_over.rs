//! From a record to the decoder: through the filter, and without what does not fit the schema.

use super::{Records, Taken};
use crate::config::RejectsRaw;
use crate::model::{Loss, RawRecord};
use crate::pointer;
use crate::schema::{DeclaredSchema, SchemaContract};
use crate::transform::conform::{Conformed, Difference, conform};
use crate::transform::decode::Tail;
use crate::transform::duplicates::write_last_values;
use crate::transform::filter::in_result;
use crate::transform::filtered::Filtered;
use crate::transform::locate::value_at;
use crate::transform::reader::{Fault, FaultKind, Reader};

/// Differences of a record that are named.
const DIFFERENCES_SHOWN_MAX: usize = 10;
/// Values of a record that are discarded one by one; a record with more is rejected. They are in memory together.
const DIFFERENCES_MAX: usize = 10_000;
/// Characters of a pointer in a line that names it.
const POINTER_CHARS_MAX: usize = 200;

/// A record that does not fit the schema.
struct Held<'r> {
    conformed: Conformed,
    /// Where its text ends.
    end: Reader<'r>,
    /// Keys that stand twice in it.
    duplicate_key_count: u64,
}

/// Why a record does not fit the schema.
fn fault_of(difference: &Difference, kind: FaultKind) -> Box<Fault> {
    let mut fault = Fault::new(kind, 0, difference.reason.clone());
    fault.pointer = pointer::show(difference.keys.iter().map(String::as_str));
    fault
}

/// A pointer as a line can hold it: the keys are data.
fn shown_pointer(pointer: &str) -> String {
    let shown: String = pointer.chars().take(POINTER_CHARS_MAX).flat_map(char::escape_debug).collect();
    if pointer.chars().nth(POINTER_CHARS_MAX).is_some() { shown + "…" } else { shown }
}

impl<'a> Records<'a> {
    /// Hands the record that is next, which begins at byte `start`, to the decoder: what a filter makes of it, and
    /// without what does not fit the schema that it is held to.
    pub(super) fn hand_over(&mut self, reader: &mut Reader<'a>, start: usize, tail: Tail) -> Taken {
        if let Some(mut filtered) = self.filtered.take() {
            let taken = self.hand_over_results(&mut filtered, reader, start, tail);
            self.filtered = Some(filtered);
            return taken;
        }
        let held = self.schema.and_then(|schema| self.hold_to(schema, reader.clone(), tail));
        let Some(Held { conformed, end, duplicate_key_count }) = held else {
            return self.decoder.take_record(reader, tail);
        };
        self.judge(start, &conformed)?;
        self.decoder.take_record(&mut Reader::new(&conformed.record), Tail::Nothing)?;
        self.decoder.count_duplicate_keys(duplicate_key_count);
        for difference in &conformed.differences {
            self.discard_value(start, difference);
        }
        *reader = end;
        Ok(())
    }

    fn hand_over_results(
        &mut self,
        filtered: &mut Filtered<'_>,
        reader: &mut Reader<'_>,
        start: usize,
        tail: Tail,
    ) -> Taken {
        let run = filtered.run(reader, tail, self.index)?;
        let results = filtered.results();
        let mut held: Vec<Option<Conformed>> = Vec::new();
        for (place, result) in results.iter().enumerate() {
            let of_result =
                self.schema.and_then(|schema| self.hold_to(schema, Reader::new(result), Tail::Nothing));
            let conformed = of_result.map(|of_result| of_result.conformed);
            if let Some(conformed) = &conformed {
                self.judge(start, conformed).map_err(|fault| in_result(place, fault))?;
            }
            held.push(conformed);
        }
        let texts: Vec<&[u8]> = results
            .iter()
            .zip(&held)
            .map(|(result, held)| held.as_ref().map_or(*result, |conformed| &conformed.record))
            .collect();
        let taken = match self.decoder.take_records(&texts) {
            Err((place, fault)) if fault.kind == FaultKind::Value => return Err(in_result(place, fault)),
            Err((_, fault)) if fault.kind != FaultKind::ColumnsLimit => return Err(fault),
            taken => taken.map_err(|(_, fault)| fault),
        };
        let is_kept = !texts.is_empty();
        filtered.count(run, is_kept, self.decoder.record_count(), self.index);
        for difference in held.iter().flatten().flat_map(|conformed| &conformed.differences) {
            self.discard_value(start, difference);
        }
        taken
    }

    /// Whether a record may be written without what does not fit.
    fn judge(&self, start: usize, conformed: &Conformed) -> Taken {
        let Conformed { differences, difference_count, .. } = conformed;
        let more = difference_count - differences.len();
        match self.contract {
            SchemaContract::DiscardValue if more == 0 => Ok(()),
            SchemaContract::Freeze => {
                let named = differences.iter().map(|difference| {
                    let mut fault = fault_of(difference, FaultKind::Misfit);
                    self.hide_value(&mut fault);
                    format!("{}: {}", shown_pointer(&fault.pointer), fault.reason)
                });
                let mut reason = named.collect::<Vec<_>>().join("; ");
                if more > 0 {
                    reason.push_str(&format!("; and {more} more"));
                }
                Err(Fault::new(FaultKind::SchemaBroken, start, reason))
            }
            SchemaContract::DiscardValue | SchemaContract::DiscardRow | SchemaContract::Evolve => {
                let mut fault = fault_of(&differences[0], FaultKind::Misfit);
                if self.contract == SchemaContract::DiscardValue {
                    fault
                        .reason
                        .push_str(&format!("; {more} more values do not fit, too many for one record"));
                }
                Err(fault)
            }
        }
    }

    /// What of a record does not fit the schema; `None` if all of it fits, or if the decoder is to say what is wrong
    /// with it.
    fn hold_to<'r>(&self, schema: &DeclaredSchema, mut reader: Reader<'r>, tail: Tail) -> Option<Held<'r>> {
        let marks = self.decoder.marks();
        let start = reader.clone();
        let mut last_values = Vec::new();
        let duplicate_key_count = write_last_values(&mut reader, marks, &mut last_values).ok()?;
        let end = reader.clone();
        if tail == Tail::Nothing {
            reader.expect_end().ok()?;
        }
        let differences_max = match self.contract {
            SchemaContract::Freeze => DIFFERENCES_SHOWN_MAX,
            SchemaContract::DiscardRow => 1,
            SchemaContract::DiscardValue | SchemaContract::Evolve => DIFFERENCES_MAX,
        };
        let mut record = if duplicate_key_count == 0 { start.clone() } else { Reader::new(&last_values) };
        let mut conformed = conform(&mut record, schema, marks, differences_max).ok()?;
        if duplicate_key_count > 0 {
            for difference in &mut conformed.differences {
                // As it was served.
                let served = value_at(&mut start.clone(), &difference.keys);
                difference.value = served.map(<[u8]>::to_vec).or(difference.value.take());
            }
        }
        (conformed.difference_count > 0).then_some(Held { conformed, end, duplicate_key_count })
    }

    fn discard_value(&mut self, start: usize, difference: &Difference) {
        // Where there is none, nothing is lost.
        let Some(value) = &difference.value else { return };
        let mut fault = fault_of(difference, FaultKind::Value);
        let is_shown = match self.rejects_raw {
            RejectsRaw::Full => true,
            RejectsRaw::Redacted => self.decoder.marks().shows_all_at(&difference.keys),
            RejectsRaw::None => false,
        };
        self.hide_value(&mut fault);
        let size = value.len() as u64;
        let raw = if is_shown { RawRecord::Bytes(value.clone()) } else { RawRecord::Hidden { size } };
        self.push_loss(Loss::Value, start, fault.pointer, fault.reason, raw);
    }
}
