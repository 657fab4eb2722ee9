//! The pages as typed rows: the structs that a program derives when it knows its logs.
//!
//! Every field of a page is here, since one that is left out is skipped and costs less. Text is owned, and an
//! `Option` stands where a key may be absent or null.

#![expect(dead_code, reason = "fields are read from JSON and by nobody else: that is what is measured")]

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Flat {
    id: i64,
    ts: String,
    host: String,
    method: String,
    path: String,
    status: i64,
    bytes: i64,
    ok: bool,
    values: Vec<f64>,
}

/// The wide row, from the numbers of its columns: they repeat in threes.
macro_rules! wide {
    ($($count:ident $share:ident $name:ident)*, $last_count:ident $last_share:ident) => {
        #[derive(Deserialize)]
        pub(crate) struct Wide {
            id: i64,
            $($count: i64, $share: f64, $name: String,)*
            $last_count: i64,
            $last_share: f64,
        }
    };
}

wide! {
    count_0 share_1 name_2
    count_3 share_4 name_5
    count_6 share_7 name_8
    count_9 share_10 name_11
    count_12 share_13 name_14
    count_15 share_16 name_17
    count_18 share_19 name_20
    count_21 share_22 name_23
    count_24 share_25 name_26
    count_27 share_28 name_29
    count_30 share_31 name_32
    count_33 share_34 name_35
    count_36 share_37 name_38
    count_39 share_40 name_41
    count_42 share_43 name_44
    count_45 share_46 name_47
    count_48 share_49 name_50
    count_51 share_52 name_53
    count_54 share_55 name_56
    count_57 share_58 name_59
    count_60 share_61 name_62
    count_63 share_64 name_65
    count_66 share_67 name_68
    count_69 share_70 name_71
    count_72 share_73 name_74
    count_75 share_76 name_77
    count_78 share_79 name_80
    count_81 share_82 name_83
    count_84 share_85 name_86
    count_87 share_88 name_89
    count_90 share_91 name_92
    count_93 share_94 name_95
    count_96 share_97 name_98
    count_99 share_100 name_101
    count_102 share_103 name_104
    count_105 share_106 name_107
    count_108 share_109 name_110
    count_111 share_112 name_113
    count_114 share_115 name_116
    , count_117 share_118
}

#[derive(Deserialize)]
pub(crate) struct Strings {
    id: i64,
    message: String,
    path: String,
    city: String,
    emoji: String,
    agent: String,
}
