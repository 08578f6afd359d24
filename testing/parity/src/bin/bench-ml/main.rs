//! x
mod worker;
fn main() {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    ml_sidecar::runtime::start(std::env::var("OMP_NUM_THREADS").unwrap().parse().unwrap());
    println!("{}", worker::run(&arguments));
}
