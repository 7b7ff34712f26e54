//! scratch
use benches::{Workload, arms::ARMS, worker::run};
fn main() {
    let six = Workload::six_routes();
    let events = six.events();
    for arm in ARMS.iter().take(7).chain(&ARMS[9..12]) {
        let mut w = (arm.workers)(1);
        let mut v: Vec<f64> = (0..60)
            .map(|_| run(&mut w, events, 10).mean.as_nanos() as f64 / (10. * events.len() as f64))
            .collect();
        v.sort_by(f64::total_cmp);
        println!("{:>6.2} {:>6.2} {:>6.2}  {}", v[0], v[15], v[30], arm.name);
    }
}
