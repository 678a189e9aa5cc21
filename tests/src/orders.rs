//! Events of a made-up shop.

use serde_json::{Value, json};

/// An order with two lines; the gross total is EUR 46.41.
pub fn order(number: u32) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("order-{number}-completed"),
        "source": "/shops/test",
        "type": "order.completed.v1",
        "subject": format!("order-{number}"),
        "time": "2026-03-01T12:00:00Z",
        "datacontenttype": "application/json",
        "tenant": "test",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {
            "order_number": number.to_string(),
            "completed_at": "2026-03-01T12:00:00Z",
            "currency": "EUR",
            "customer": {
                "name": "Ada Vogel",
                "email": format!("ada.{number}@customers.example"),
                "address": ["Lindenstraße 4", "10115 Berlin", "Germany"],
            },
            "lines": [
                {"description": "Teapot", "quantity": 1, "unit_price": "29.00", "vat_rate": "19"},
                {"description": "Cup", "quantity": 2, "unit_price": "5.00", "vat_rate": "19"},
            ],
        },
    })
}
