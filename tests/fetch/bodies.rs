//! Whole bodies and cut ones, with and without compression.

use etl::config::HttpConfig;
use etl::model::DeclaredForm;

use crate::bench::*;
use crate::server::*;

#[tokio::test]
async fn whole_body_is_a_page_with_a_proven_end() {
    let page = outcome(Reply::Close(complete("200 OK", &[], BODY))).await.unwrap();
    assert_eq!((&page.body[..], page.form, page.end_proven), (BODY, DeclaredForm::Unknown, true));
    let page = outcome(Reply::Close(answer("200 OK", &["Transfer-Encoding: chunked"], &chunked(BODY))))
        .await
        .unwrap();
    assert_eq!((&page.body[..], page.end_proven), (BODY, true));
}

#[tokio::test]
async fn body_that_ends_with_its_connection_is_a_page_without_a_proven_end() {
    for status in ["HTTP/1.0 200 OK", "HTTP/1.1 200 OK"] {
        let bytes = [status.as_bytes(), b"\r\n\r\n", BODY].concat();
        let page = outcome(Reply::Close(bytes)).await.unwrap();
        assert_eq!((&page.body[..], page.end_proven), (BODY, false), "{status}");
    }
}

#[tokio::test]
async fn body_shorter_than_its_content_length_is_never_a_page() {
    let whole = complete("200 OK", &["Content-Type: application/x-ndjson"], BODY);
    for missing in 1..=BODY.len() {
        let fault = outcome(Reply::Close(whole[..whole.len() - missing].to_vec())).await.unwrap_err();
        let received = BODY.len() - missing;
        let expected = format!("the body broke off after {received} of {} bytes", BODY.len());
        assert!(fault.reason.starts_with(&expected), "{}", fault.reason);
        assert!(fault.answered);
        assert_eq!(fault.received.map(|kept| kept.head).unwrap_or_default(), BODY[..received]);
    }
}

#[tokio::test]
async fn chunked_body_cut_at_any_byte_is_never_a_page() {
    let wire = chunked(BODY);
    for len in 0..wire.len() {
        let bytes = answer(
            "200 OK",
            &["Transfer-Encoding: chunked", "Content-Type: application/jsonl"],
            &wire[..len],
        );
        let fault = outcome(Reply::Close(bytes)).await.expect_err("a cut body");
        assert!(fault.reason.starts_with("the body broke off after"), "{len}: {}", fault.reason);
    }
}

#[tokio::test]
async fn compressed_body_is_a_page_of_its_text() {
    for (coding, compressed) in compressed_samples() {
        let header = format!("Content-Encoding: {coding}");
        let page = outcome(Reply::Close(complete("200 OK", &[&header], &compressed))).await.unwrap();
        assert_eq!(page.body, text(), "{coding}");
    }
    let twice = zstd::encode_all(gzip(&text()).as_slice(), 3).unwrap();
    let page =
        outcome(Reply::Close(complete("200 OK", &["Content-Encoding: gzip, zstd"], &twice))).await.unwrap();
    assert_eq!(page.body, text());
}

#[tokio::test]
async fn compressed_body_cut_at_any_byte_is_never_a_page() {
    // The connection stays open between the answers, or a thousand of them would be slow.
    for (coding, compressed) in compressed_samples() {
        let header = format!("Content-Encoding: {coding}");
        let server = Server::start(move |number, _| {
            let headers = [header.as_str(), "Content-Type: application/x-ndjson"];
            Reply::Keep(complete("200 OK", &headers, &compressed[..number.min(compressed.len())]))
        });
        let server = server.await;
        let bench = Bench::new(&once());
        let mut cut_count = 0;
        let page = loop {
            match bench.get(&server.origin).await {
                Ok(page) => break page,
                Err(fault) => {
                    assert!(fault.reason.ends_with("stream ends before its end marker"), "{}", fault.reason);
                    cut_count += 1;
                }
            }
        };
        assert_eq!(page.body, text(), "{coding} cut to {cut_count}");
    }
}

#[tokio::test]
async fn compressed_body_without_a_length_cut_at_any_byte_is_never_a_page() {
    for (coding, compressed) in compressed_samples() {
        let header = format!("Content-Encoding: {coding}");
        for len in (0..compressed.len()).step_by(7) {
            let bytes = answer("200 OK", &[&header], &compressed[..len]);
            assert!(outcome(Reply::Close(bytes)).await.is_err(), "{coding} cut to {len}");
        }
    }
}

#[tokio::test]
async fn file_that_was_compressed_before_it_was_served_is_recognised() {
    for compressed in [gzip(&text()), zstd::encode_all(text().as_slice(), 3).unwrap()] {
        let bytes = complete("200 OK", &["Content-Type: application/gzip"], &compressed);
        let server = Server::always(Reply::Close(bytes)).await;
        let page = Bench::new(&once()).get(&format!("{}/page.jsonl.gz", server.origin)).await.unwrap();
        assert_eq!((page.body, page.form), (text(), DeclaredForm::Ndjson));
    }
    let encoded_twice = gzip(&gzip(&text()));
    let page =
        outcome(Reply::Close(complete("200 OK", &["Content-Encoding: gzip"], &encoded_twice))).await.unwrap();
    assert_eq!(page.body, text());
}

#[tokio::test]
async fn gzip_of_several_members_is_read_whole() {
    let members = [gzip(b"[1,"), gzip(b"2]")].concat();
    let page =
        outcome(Reply::Close(complete("200 OK", &["Content-Encoding: x-gzip"], &members))).await.unwrap();
    assert_eq!(&page.body[..], b"[1,2]");
}

#[tokio::test]
async fn gzip_bomb_ends_at_the_cap_and_is_not_asked_for_again() {
    let bomb = gzip(&vec![b' '; 32 << 20]);
    let server = Server::always(Reply::Close(complete("200 OK", &["Content-Encoding: gzip"], &bomb))).await;
    let config = HttpConfig { page_bytes_max: MIB, ..retrying() };
    let fault = Bench::new(&config).get(&server.origin).await.unwrap_err();
    assert_eq!(fault.reason, "the page is larger than 1048576 bytes when decompressed (--max-page-bytes)");
    assert_eq!(server.requests().len(), 1);
    let received = fault.received.unwrap();
    assert!((MIB..2 * MIB).contains(&received.size), "{}", received.size);
    assert!(received.head == vec![b' '; 65_536]);
}

#[tokio::test]
async fn page_larger_than_the_cap_is_refused() {
    let body = vec![b' '; 3 << 20];
    for headers in [vec!["Content-Length: 3145728"], vec![]] {
        let server = Server::always(Reply::Close(answer("200 OK", &headers, &body))).await;
        let config = HttpConfig { page_bytes_max: MIB, ..once() };
        let fault = Bench::new(&config).get(&server.origin).await.unwrap_err();
        assert_eq!(fault.reason, "the page is larger than 1048576 bytes (--max-page-bytes)");
    }
}
