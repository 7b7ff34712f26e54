//! The app that the arms wrap.

use actix_web::Error;
use actix_web::error::ErrorInternalServerError;
use actix_web::web::{self, ServiceConfig};

/// Mounts a route for each shape of requests.
pub(crate) fn routes(config: &mut ServiceConfig) {
    let order = web::scope("/orders/{id}").route("/lines/{line}", web::get().to(answer));
    config
        .route("/health", web::get().to(answer))
        .route("/items/{id}", web::get().to(answer))
        .route("/broken/{id}", web::get().to(fail))
        .route("/upload", web::post().to(|_: web::Bytes| answer()))
        .service(web::scope("/api").service(web::scope("/v1").service(order)));
}

async fn answer() -> &'static str {
    "here you are"
}

async fn fail() -> Result<&'static str, Error> {
    Err(ErrorInternalServerError("the connection to the database was closed before the answer came"))
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::body::to_bytes;
    use actix_web::dev::Service;
    use actix_web::http::StatusCode;
    use actix_web::rt::System;
    use actix_web::test::{TestRequest, init_service};
    use actix_web::web::Bytes;
    use fastrand::Rng;

    use crate::middleware::{AppService, Arm, Shape, Visitor};

    /// Requests each shape once, and then the page of metrics.
    struct Answers;

    impl Visitor for Answers {
        type Output = Vec<(StatusCode, Bytes)>;

        fn visit<T: AppService>(self, app: impl Fn() -> App<T> + Clone + Send + 'static) -> Self::Output {
            System::new().block_on(async {
                let service = init_service(app()).await;
                let mut random = Rng::with_seed(1);
                let requests = Shape::ALL.map(|shape| shape.request(&mut random));
                let metrics = TestRequest::with_uri("/metrics").to_request();
                let mut answers = Vec::new();
                for request in requests.into_iter().chain([metrics]) {
                    let response = service.call(request).await.unwrap();
                    let status = response.status();
                    answers.push((status, to_bytes(response.into_body()).await.ok().unwrap()));
                }
                answers
            })
        }
    }

    #[test]
    fn every_arm_answers_like_the_bare_app() {
        let bare = Arm::Bare.visit(Answers);
        assert!(
            bare.iter().zip(Shape::ALL).all(|((status, _), shape)| *status == shape.status()),
            "{bare:?}"
        );
        for arm in Arm::ALL {
            assert_eq!(arm.visit(Answers)[..Shape::ALL.len()], bare[..Shape::ALL.len()], "{arm:?}");
        }
    }

    #[test]
    fn the_peer_with_a_page_of_metrics_counts_each_shape_once() {
        let answers = Arm::ActixWebProm.visit(Answers);
        let page = String::from_utf8(answers[Shape::ALL.len()].1.to_vec()).unwrap();
        let route_of_nested = "/api/v1/orders/{id}/lines/{line}";
        for (route, status) in
            [("/health", 200), ("/items/{id}", 200), (route_of_nested, 200), ("UNKNOWN", 404)]
        {
            let series = format!(r#"total{{endpoint="{route}",method="GET",status="{status}"}} 1"#);
            assert!(page.contains(&series), "{page}");
        }
    }
}
