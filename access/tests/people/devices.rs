//! Devices that ask for a login, from the first code to the token.

use upshot_access::{
    Role, Secret,
    devices::{About, Polled, TypedCode},
};

use crate::{Stage, person};

fn about() -> About {
    About { name: "ada's laptop".to_owned(), address: Some("192.0.2.7".to_owned()) }
}

#[tokio::test]
async fn a_device_gets_the_rights_of_its_person_once() {
    let stage = Stage::new().await;
    let devices = stage.devices().polled_every(0);
    let (device, typed) = devices.begin(&about()).await.unwrap();
    assert_eq!(devices.look(&typed).await.unwrap(), Some(about()));
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::Waiting);
    let ada = person("ada", Role::Operator, &["acme"]);
    assert!(devices.decide(&typed, Some(&ada)).await.unwrap());
    assert!(!devices.decide(&typed, Some(&ada)).await.unwrap(), "a code counts once");
    assert_eq!(devices.look(&typed).await.unwrap(), None);
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::Approved(Box::new(ada)));
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::Expired);
    assert!(stage.keys("devices:*").await.is_empty());
    stage.redis.finish().await;
}

#[tokio::test]
async fn a_refused_device_and_a_foreign_code_get_nothing() {
    let stage = Stage::new().await;
    let devices = stage.devices().polled_every(0);
    let (device, typed) = devices.begin(&about()).await.unwrap();
    assert_eq!(devices.poll(&Secret::new()).await.unwrap(), Polled::Expired);
    let other = TypedCode::parse("BBBB-BBBB").unwrap();
    assert!(!devices.decide(&other, None).await.unwrap());
    assert!(devices.decide(&typed, None).await.unwrap());
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::Refused);
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::Expired);
    stage.redis.finish().await;
}

#[tokio::test]
async fn a_device_that_polls_too_often_is_told_so() {
    let stage = Stage::new().await;
    let devices = stage.devices();
    let (device, typed) = devices.begin(&about()).await.unwrap();
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::Waiting);
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::TooOften);
    devices.decide(&typed, None).await.unwrap();
    assert_eq!(devices.poll(&device).await.unwrap(), Polled::Refused);
    stage.redis.finish().await;
}
