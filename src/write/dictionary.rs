//! Whether a column is written with a dictionary: decided once, from the data of the first row group.
//!
//! A dictionary costs a hash per value and pays only where values repeat; measured, leaving it off
//! where it does not pay saves almost half of the encoder's time on logs with lists of samples.

use std::collections::HashSet;

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use crate::schema::timestamp_values;

/// Values of a column that are looked at: as many as a row group of scalars has.
const SAMPLE_VALUES_MAX: usize = 65_536;
/// A dictionary pays from so many values for each distinct one: then index and dictionary together
/// are well below the plain values, also after snappy.
const REPEATS_MIN: usize = 4;
/// Fewer values than this say too little; the tables of a dictionary would be larger than they are.
const SAMPLE_VALUES_MIN: usize = 16;

/// For each leaf of a column, in the order of the Parquet schema, whether it gets a dictionary.
///
/// `arrays` are the column's arrays in the first row group, in order.
pub(super) fn dictionary_pays(arrays: &[ArrayRef]) -> Vec<bool> {
    let Some(first) = arrays.first() else { return Vec::new() };
    match first.data_type() {
        DataType::Struct(fields) => (0..fields.len())
            .flat_map(|place| {
                let members: Vec<_> =
                    arrays.iter().map(|array| ArrayRef::clone(array.as_struct().column(place))).collect();
                dictionary_pays(&members)
            })
            .collect(),
        DataType::List(_) => {
            let elements: Vec<_> = arrays
                .iter()
                .map(|array| {
                    let list = array.as_list::<i32>();
                    let (first, last) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
                    list.values().slice(first as usize, (last - first) as usize)
                })
                .collect();
            dictionary_pays(&elements)
        }
        _ => vec![leaf_pays(arrays)],
    }
}

fn leaf_pays(arrays: &[ArrayRef]) -> bool {
    match arrays[0].data_type() {
        DataType::Utf8 => repeats(arrays.iter().flat_map(|array| array.as_string::<i32>().iter().flatten())),
        DataType::Int64 => {
            repeats(arrays.iter().flat_map(|array| array.as_primitive::<Int64Type>().iter().flatten()))
        }
        DataType::Float64 => repeats(
            arrays
                .iter()
                .flat_map(|array| array.as_primitive::<Float64Type>().iter().flatten().map(f64::to_bits)),
        ),
        DataType::Timestamp(..) => repeats(arrays.iter().flat_map(|array| {
            let values = timestamp_values(array).iter().enumerate();
            values.filter(|(row, _)| array.is_valid(*row)).map(|(_, value)| value)
        })),
        _ => false,
    }
}

fn repeats<T: Eq + std::hash::Hash>(values: impl Iterator<Item = T>) -> bool {
    // The hash is most of the work here; this one is as safe from chosen values as the standard one.
    let mut distinct = HashSet::with_hasher(RandomState::new());
    let mut count = 0;
    for value in values.take(SAMPLE_VALUES_MAX) {
        count += 1;
        distinct.insert(value);
        if distinct.len() > SAMPLE_VALUES_MAX / REPEATS_MIN {
            return false;
        }
    }
    count >= SAMPLE_VALUES_MIN && distinct.len() * REPEATS_MIN <= count
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};

    use super::*;

    #[test]
    fn repeated_text_gets_a_dictionary_and_random_numbers_do_not() {
        let hosts: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..1000).map(|row| format!("web-{}", row % 20))));
        assert_eq!(dictionary_pays(&[hosts]), [true]);
        let samples: ArrayRef =
            Arc::new(Float64Array::from_iter_values((0..1000).map(|row| f64::from(row) * 0.1)));
        assert_eq!(dictionary_pays(&[samples]), [false]);
    }
}
