//! Serves until a signal, and ends the monitor after the server's last answer.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use actix_web::dev::Server;
use metrics_monitor::Unsent;

use crate::metrics::Metrics;

/// How long the monitor may send what is left after the server has ended.
const SEND_FOR: Duration = Duration::from_secs(5);

impl Metrics {
    /// Runs the server until it ends, then sends the monitor's last measurements. Returns what could not be sent within
    /// five seconds.
    ///
    /// As by default in actix-web, SIGTERM stops the server after the requests in progress, and Ctrl-C stops it
    /// immediately; this holds even with [`disable_signals`](actix_web::HttpServer::disable_signals). It does not wait
    /// for open dashboards. To stop in another way, or to wait longer, await the server yourself and call
    /// [`finish`](metrics_monitor::Monitor::finish).
    ///
    /// ```no_run
    /// use actix_web::{App, HttpServer};
    ///
    /// #[actix_web::main]
    /// async fn main() -> std::io::Result<()> {
    ///     let metrics = metrics_actix::Metrics::builder("orders").build()?;
    ///     let app = metrics.clone();
    ///     let server = HttpServer::new(move || {
    ///         App::new().configure(app.routes("/api/metrics")).wrap(app.middleware())
    ///     });
    ///     metrics.run(server.bind("127.0.0.1:8080")?.run()).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the server's own error. The last measurements are sent in this case, too.
    pub async fn run(&self, server: Server) -> io::Result<Unsent> {
        let handle = server.handle();
        let ended = {
            let mut server = pin!(server);
            let signal = first(server.as_mut(), pin!(stop_signal())).await;
            match signal {
                Either::Left(ended) => ended,
                Either::Right(is_graceful) => {
                    self.stop_answering();
                    // The server ends on its own, or because of this, whatever it does about signals.
                    let stop = handle.stop(is_graceful);
                    actix_web::rt::spawn(stop);
                    server.await
                }
            }
        };
        let unsent = self.finish(SEND_FOR).await;
        ended.map(|()| unsent)
    }
}

/// Waits for SIGTERM, which lets requests under way end, or for Ctrl-C, which does not. Returns whether it was the
/// former; never if signals cannot be received.
async fn stop_signal() -> bool {
    use actix_web::rt::signal::ctrl_c;

    #[cfg(unix)]
    {
        use actix_web::rt::signal::unix::{SignalKind, signal};

        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
        match first(pin!(terminate.recv()), pin!(ctrl_c())).await {
            Either::Left(_) => true,
            Either::Right(Ok(())) => false,
            Either::Right(Err(_)) => std::future::pending().await,
        }
    }
    #[cfg(not(unix))]
    match ctrl_c().await {
        Ok(()) => false,
        Err(_) => std::future::pending().await,
    }
}

/// Which of two futures ended first.
enum Either<L, R> {
    Left(L),
    Right(R),
}

/// Waits for the first of two futures.
async fn first<L: Future, R: Future>(
    mut left: std::pin::Pin<&mut L>,
    mut right: std::pin::Pin<&mut R>,
) -> Either<L::Output, R::Output> {
    poll_fn(|cx| match left.as_mut().poll(cx) {
        Poll::Ready(left) => Poll::Ready(Either::Left(left)),
        Poll::Pending => right.as_mut().poll(cx).map(Either::Right),
    })
    .await
}
