//! Does the runs of a plan in this process, and compares what they left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use etl::config::{
    Config, ContractConfig, HttpConfig, InputConfig, OutputConfig, ResourceConfig, StateConfig,
    TransformConfig,
};
use etl::metrics::Metrics;
use etl::pipeline::{Pipeline, StopSignal};
use etl::report::Status;
use etl::schema::{DeclaredSchema, Nesting, SchemaContract};
use etl::write::schema_of_table;

use crate::plan::{Plan, Run};
use crate::table::Table;

/// Hundreds of times what a run takes: one that needs longer waits for something that will not come.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);

/// All of them: a record that does not fit would be missing, or the run would fail.
const CONTRACTS: [SchemaContract; 4] = [
    SchemaContract::Evolve,
    SchemaContract::Freeze,
    SchemaContract::DiscardRow,
    SchemaContract::DiscardValue,
];

/// A schema that is told before the first page.
type Declared<'a> = (&'a Arc<DeclaredSchema>, SchemaContract);

/// What a run published.
struct Output {
    table: Table,
    file: Vec<u8>,
    row_group_count: u64,
}

/// Does all runs of the plan. All must come to what the lattice says of the records, and those over pages in one
/// order to one file.
pub(crate) async fn check_all(plan: &Plan) {
    let folder = tempfile::tempdir().unwrap();
    let knowing = run(plan, &plan.knowing, None, &folder.path().join("knowing")).await;
    assert_eq!(knowing.row_group_count, 1, "row groups of the run that knows the schema");
    let expected = Table::of(&plan.records, plan.nesting, &plan.features);
    check(&knowing.table, &expected, "of the run that knows the schema, beside the lattice");
    let mut first_file = None;
    for (place, learning) in plan.learning.iter().enumerate() {
        let Output { table, file, .. } =
            run(plan, learning, None, &folder.path().join(format!("learning-{place}"))).await;
        check(&table, &knowing.table, "of the run that learns the schema");
        let first_file = first_file.get_or_insert_with(|| file.clone());
        assert!(*first_file == file, "another machine made another file: {:?}", learning.machine);
    }
    let shuffled = run(plan, &plan.shuffled, None, &folder.path().join("shuffled")).await;
    let knowing_by_id = knowing.table.sorted();
    check(&shuffled.table.sorted(), &knowing_by_id, "of the run over shuffled pages, by id");
    let declared = declared(plan, &folder.path().join("knowing/out.parquet"));
    for contract in CONTRACTS {
        let of_run = folder.path().join(contract.name());
        let told = run(plan, &plan.shuffled, Some((&declared, contract)), &of_run).await;
        let whose = format!("of a run that was told the schema, {}, by id", contract.name());
        check(&told.table.sorted(), &knowing_by_id, &whose);
    }
}

/// The schema of a table, as `--schema` takes it.
fn declared(plan: &Plan, table: &Path) -> Arc<DeclaredSchema> {
    let features: Vec<_> = plan.features.column_names().collect();
    let columns = schema_of_table(table).unwrap();
    Arc::new(DeclaredSchema::of_table(&columns, |name| features.iter().any(|of| of == name)).unwrap())
}

/// Runs the pages in a folder of its own.
async fn run(plan: &Plan, run: &Run, declared: Option<Declared<'_>>, folder: &Path) -> Output {
    std::fs::create_dir(folder).unwrap();
    let mut list = String::new();
    for page in &run.pages {
        std::fs::write(folder.join(&page.name), &page.body).unwrap();
        list.push_str(&format!("{}\n", page.name));
    }
    std::fs::write(folder.join("urls.txt"), list).unwrap();
    let (_running, stop) = StopSignal::new();
    let pipeline = Pipeline::new(config(plan, run, declared, folder), Arc::new(Metrics::default()), stop);
    let report = tokio::time::timeout(RUN_TIME_MAX, pipeline.run()).await;
    let report = report.unwrap_or_else(|_| panic!("the run hangs on {:?}", run.machine));
    assert_eq!((report.status, report.exit_code), (Status::Ok, 0), "{report:?}");
    assert_eq!(report.records.written, plan.records.len() as u64, "{report:?}");
    let out = folder.join("out.parquet");
    Output {
        table: Table::read(&out),
        file: std::fs::read(&out).unwrap(),
        row_group_count: report.parts.iter().map(|part| part.row_groups).sum(),
    }
}

fn config(plan: &Plan, run: &Run, declared: Option<Declared<'_>>, folder: &Path) -> Config {
    let Run { cuts, machine, .. } = run;
    let keys_max = declared.map_or(0, |(schema, _)| schema.object_keys_max());
    Config {
        input: InputConfig { urls_file: Some(folder.join("urls.txt")), ..InputConfig::default() },
        http: HttpConfig { concurrency: machine.concurrency, ..HttpConfig::default() },
        transform: TransformConfig {
            features: Arc::clone(&plan.features),
            chunk_bytes: cuts.chunk_bytes,
            nesting: Nesting { keys_max: plan.nesting.keys_max.max(keys_max) },
            schema: declared.map(|(schema, _)| Arc::clone(schema)),
            schema_contract: declared.map_or(SchemaContract::Evolve, |(_, contract)| contract),
            ..TransformConfig::default()
        },
        contract: ContractConfig::default(),
        output: OutputConfig {
            out: folder.join("out.parquet"),
            rejects: None,
            keep_raw: None,
            row_group: cuts.row_group,
        },
        resources: ResourceConfig {
            memory_bytes: machine.memory_bytes,
            thread_count: machine.thread_count,
            open_files_max: None,
        },
        files_read: Vec::new(),
        state: StateConfig::default(),
    }
}

fn check(found: &Table, expected: &Table, whose: &str) {
    for (place, (found, expected)) in found.columns.iter().zip(&expected.columns).enumerate() {
        assert_eq!(found, expected, "column {place} {whose}");
    }
    assert_eq!(found.columns.len(), expected.columns.len(), "columns {whose}");
    assert_eq!(found.rows.len(), expected.rows.len(), "rows {whose}");
    for (row, (found_row, expected_row)) in found.rows.iter().zip(&expected.rows).enumerate() {
        for ((name, of), (found, expected)) in found.columns.iter().zip(found_row.iter().zip(expected_row)) {
            assert_eq!(found, expected, "row {row} of column {name:?}, {of}, {whose}");
        }
    }
}
