//! A schema that is declared, beside what else is asked of the fields.

use super::{TransformConfig, ValuesField};
use crate::model::Provenance;
use crate::schema::{DeclaredField, DeclaredSchema, DeclaredType, LEAF_COLUMNS_MAX, Nesting, SchemaContract};

impl TransformConfig {
    /// The schema that the output has whatever the records hold.
    pub fn fixed_schema(&self) -> Option<&DeclaredSchema> {
        self.schema.as_deref().filter(|_| self.schema_contract != SchemaContract::Evolve)
    }

    /// The declared field that holds the list of a `--values` field.
    pub fn declared_values(&self, values: &ValuesField) -> Option<&DeclaredField> {
        self.schema.as_ref()?.field_at(self.projection.names_at(values.path.keys()))
    }

    /// Checks the schema against what else is asked of the fields.
    ///
    /// # Errors
    /// What contradicts what, in words.
    pub fn check_schema(&self) -> Result<(), String> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let is_fixed = self.fixed_schema().is_some();
        for values in &self.features.fields {
            let shown = values.path.shown();
            let top = self.projection.names_at(&values.path.keys()[..1]).next();
            match self.declared_values(values) {
                Some(field) if !field.of.is_list_of_doubles() => {
                    return Err(format!(
                        "expected list<double> for {shown}, which is summarised (--values), got {}",
                        field.of
                    ));
                }
                None if is_fixed
                    && self.features.fields_are_explicit
                    && self.projection.shows(values.path.keys())
                    && top.is_none_or(|name| schema.field(name).is_none()) =>
                {
                    return Err(format!(
                        "expected a column for {shown}, which is summarised (--values), got none; add it, or leave it out \
                         with --drop {shown}"
                    ));
                }
                _ => {}
            }
        }
        for hashed in &self.projection.hash {
            if let Some(field) = schema.field_at(self.projection.names_at(hashed.keys()))
                && field.of != DeclaredType::Text
            {
                return Err(format!(
                    "expected string for {}, of which a hash is kept, got {}",
                    hashed.shown(),
                    field.of
                ));
            }
        }
        if self.nesting == Nesting::JSON && schema.object_keys_max() > 0 {
            return Err("expected no struct beside --nested json, which makes objects text".to_owned());
        }
        self.check_declared_columns(schema)
    }

    /// Checks the columns of the schema and those that are computed beside them.
    fn check_declared_columns(&self, schema: &DeclaredSchema) -> Result<(), String> {
        let is_seen = |values: &&ValuesField| {
            self.features.fields_are_explicit || self.declared_values(values).is_some()
        };
        let features =
            self.features.fields.iter().filter(is_seen).flat_map(|field| self.features.names_of(field));
        let provenance =
            Provenance::ALL.iter().filter(|_| self.has_provenance).map(|of| of.name().to_owned());
        let computed: Vec<_> = features.chain(provenance).collect();
        if let Some(name) = computed.iter().find(|name| schema.field(name).is_some()) {
            return Err(format!("expected no column {name}, which is computed, got one"));
        }
        let leaf_count = schema.leaf_count();
        if leaf_count > LEAF_COLUMNS_MAX {
            return Err(format!(
                "expected at most {LEAF_COLUMNS_MAX} columns, those in structs counted alone, got {leaf_count}"
            ));
        }
        if self.fixed_schema().is_some() && leaf_count + computed.len() == 0 {
            return Err("expected a column, got none that is not left out".to_owned());
        }
        Ok(())
    }
}
