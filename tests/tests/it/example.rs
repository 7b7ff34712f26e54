//! The demo works as the README says.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tests::Example;

#[test]
fn the_demo_shows_figures_of_its_own_traffic() {
    let demo = Example::start(&["--workers", "2", "--demo-traffic"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while demo.client().metrics("GET", "summary")["total_calls"].as_u64() < Some(40) {
        assert!(Instant::now() < deadline, "no figures after 20 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    let routes = demo.client().metrics("GET", "routes").to_string();
    assert!(routes.contains("/items/{id}") && routes.contains("/api/v1/orders/{order_id}"), "{routes}");
    let consumers = demo.client().metrics("GET", "consumers?top=5").to_string();
    assert!(consumers.contains("\"Ann\""), "{consumers}");
    assert!(demo.client().metrics("POST", "reset")["total_calls"].as_u64() >= Some(40));
}

#[test]
fn wrong_arguments_are_one_clear_line_and_a_failing_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, code, says) in [
        (&["--addr", taken.as_str()][..], 1, "cannot listen on"),
        (&["--addr", "nowhere"], 2, "allowed: an IP address and a port"),
        (&["--workers", "0"], 2, "allowed: 1 to 256"),
        (&["--speed"], 2, "--speed"),
        (&["--addr"], 2, "--addr"),
    ] {
        let (exit, stderr) = Example::refused(arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says) && stderr.trim_end().lines().count() == 1, "{arguments:?}: {stderr}");
    }
}
