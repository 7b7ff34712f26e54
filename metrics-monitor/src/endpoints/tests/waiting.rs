//! Streams of events, and answers that wait: their places, their ends, and the shutdown.

use super::*;
use crate::Answering;

#[test]
fn events_begin_at_once_and_end_at_the_shutdown() {
    let monitor = Builder::new("orders").build().unwrap();
    let Answer { body: Body::Events(mut events), .. } = call(&monitor, "GET", "/events", "", &[]) else {
        panic!("it is no stream")
    };
    let mut next = || block_on(poll_fn(|cx| events.as_mut().poll_next(cx)));
    let text = |event: Option<Bytes>| String::from_utf8(event.unwrap().to_vec()).unwrap();
    let hello = text(next());
    assert!(
        hello.starts_with("event: hello\ndata: {\"service\":\"orders\",\"endpoints\":[\"summary\","),
        "{hello}"
    );
    assert!(!hello.contains("consumers") && !hello.contains("\"reset\",") && !hello.contains("prometheus"));
    assert!(hello.contains("\"reset\":null"), "{hello}");
    assert!(text(next()).starts_with("data: {\"time\""));
    let ends = std::thread::scope(|scope| {
        let ends = scope.spawn(next);
        assert!(block_on(monitor.shutdown(Duration::from_secs(60))));
        ends.join().unwrap()
    });
    // At most the event that was being computed.
    assert!(ends.is_none() || block_on(poll_fn(|cx| events.as_mut().poll_next(cx))).is_none());
    let refused = call(&monitor, "GET", "/events", "", &[]);
    assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("1")));
    assert_eq!(call(&monitor, "GET", "/summary", "", &[]).status, 503);
}

#[test]
fn every_connection_gets_its_events_while_all_are_taken_and_one_that_ends_makes_room() {
    let monitor = Builder::new("orders").build().unwrap();
    // Sixteen clients with addresses of their own.
    let listen = |client: u8| match send(
        &monitor,
        &Request {
            peer: Peer::Address([203, 0, 113, client].into()),
            ..request("GET", "/events", "", &List(&[]))
        },
    ) {
        Answer { body: Body::Events(mut events), .. } => {
            let hello = block_on(poll_fn(|cx| events.as_mut().poll_next(cx)));
            let first = block_on(poll_fn(|cx| events.as_mut().poll_next(cx)));
            assert!(hello.is_some() && first.is_some());
            // From here on it waits for the next one.
            let next = events.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
            assert!(next.is_pending(), "{next:?}");
            Ok(events)
        }
        refused => Err(refused),
    };
    let mut listeners: Vec<_> = (0..16).map(|client| listen(client).unwrap()).collect();
    for _ in 0..3 {
        let refused = listen(16).err().unwrap();
        assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("5")));
        drop(listeners.pop());
        listeners.push(listen(16).unwrap());
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_call_that_waits_for_the_fleet_at_the_shutdown_gets_this_instances_figures() {
    // It accepts connections, and never answers.
    let redis = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/0", redis.local_addr().unwrap());
    let settings = crate::fleet::FleetSettings::new(&url).unwrap();
    let monitor = Builder::new("orders").instance("a").fleet(settings).build().unwrap();
    let (headers, endpoint) = (List(&[]), find(&monitor, "/fleet/summary").unwrap());
    let request = request("GET", "/fleet/summary", "", &headers);
    let mut waiting = Box::pin(monitor.admit(endpoint, &request).unwrap().answer(&request));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(waiting));
        block_on(monitor.shutdown(Duration::from_secs(1)));
        waiting.join().unwrap()
    });
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(text(&answer).contains("the service is shutting down"), "{}", text(&answer));
    let late = call(&monitor, "POST", "/fleet/summary", "", &[]);
    assert_eq!(late.status, 405);
    let late = call(&monitor, "GET", "/fleet/summary", "", &[]);
    assert_eq!((late.status, header(&late, "retry-after")), (503, Some("1")));
}

#[test]
fn an_answer_that_is_dropped_frees_its_place_and_keeps_no_monitor_alive() {
    let monitor = Builder::new("orders").build().unwrap();
    let (headers, endpoint) = (List(&[]), monitor.prometheus_endpoint());
    let request = request("GET", "/prometheus", "", &headers);
    for _ in 0..1_000 {
        let mut answer = Box::pin(monitor.admit(endpoint, &request).unwrap().answer(&request));
        let polled = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        // Not 503: each one before it freed its place.
        if let Poll::Ready(answer) = polled {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    assert_eq!(call(&monitor, "GET", "/prometheus", "", &[]).status, 200);
    let policy = Arc::downgrade(monitor.policy());
    drop(monitor);
    let begun = std::time::Instant::now();
    while policy.strong_count() > 0 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(policy.strong_count(), 0);
}

#[test]
fn a_crowd_that_waits_for_one_endpoint_leaves_others_their_places() {
    let monitor = Arc::new(open(|builder| builder));
    // Both threads for figures are busy until this is dropped.
    let busy = Arc::new(Mutex::new(()));
    let held = busy.lock().unwrap();
    let begun = Arc::new(Barrier::new(3));
    let jobs = [(); 2].map(|()| {
        let (busy, begun) = (Arc::clone(&busy), Arc::clone(&begun));
        let job = move |_: &mut Scratch| {
            begun.wait();
            drop(busy.lock());
        };
        monitor.state.lanes.reads.run(job).unwrap()
    });
    begun.wait();
    let ask_from = |peer, path| {
        let headers = List(&[]);
        let request = Request { peer, ..request("GET", path, "", &headers) };
        monitor.admit(find(&monitor, path).unwrap(), &request).unwrap().answer(&request)
    };
    let ask = |path| ask_from(Peer::UnixSocket, path);
    let refused = |answer: Answering, message: &str| {
        let refused = block_on(answer);
        assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("1")));
        assert!(text(&refused).contains(message), "{}", text(&refused));
    };
    // A crowd from one address leaves others their places at this endpoint, too.
    let stranger = Peer::Address([203, 0, 113, 7].into());
    let mut crowd: Vec<_> = (0..MAX_CALLERS / 4).map(|_| ask_from(stranger, "/summary")).collect();
    refused(ask_from(stranger, "/summary"), "too many requests from one address are waiting");
    crowd.extend((0..MAX_CALLERS / 4 * 3).map(|_| ask("/summary")));
    refused(ask("/summary"), "too many requests are waiting");
    let waits = ["/routes", "/alerts", "/errors"].map(ask);
    assert_eq!(block_on(ask("/prometheus")).status, 200);
    drop(held);
    assert!(crowd.into_iter().chain(waits).all(|answer| block_on(answer).status == 200));
    assert!(jobs.into_iter().all(|job| block_on(job).is_some()));
}
