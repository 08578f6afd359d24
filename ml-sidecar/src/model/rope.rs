//! Rotary positions, with Llama 3's scaling.

use serde_json::Value;
use tch::{Kind, Tensor};

use super::config::{ConfigError, range, unsupported};
use crate::torch::TorchError;

/// How positions turn queries and keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the wavelengths.
    pub theta: f64,
    /// Llama 3's stretching of the long wavelengths.
    pub scaling: Option<Llama3Scaling>,
}

/// Llama 3's rule: wavelengths beyond `original_positions / low_frequency` grow by `factor`, those below
/// `original_positions / high_frequency` stay, and between the two it is blended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Llama3Scaling {
    /// How much longer the sequences became.
    pub factor: f64,
    /// See above.
    pub low_frequency: f64,
    /// See above.
    pub high_frequency: f64,
    /// Positions the model was first trained on.
    pub original_positions: f64,
}

impl Rope {
    /// From the fields of `config.json`: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.
    pub(super) fn parse(parameters: Option<&Value>, scaling: Option<&Value>, theta: Option<f64>) -> Result<Self, ConfigError> {
        let (field, fields) = match (parameters, scaling) {
            (Some(Value::Object(fields)), _) => ("rope_parameters", Some(fields)),
            (_, Some(Value::Object(fields))) => ("rope_scaling", Some(fields)),
            _ => ("rope_scaling", None),
        };
        let inner_theta = fields.and_then(|fields| fields.get("rope_theta")).and_then(Value::as_f64);
        let theta = inner_theta.or(theta).unwrap_or(10_000.0);
        if !(1.0..=1e12).contains(&theta) {
            return Err(range("rope_theta", theta, "1 to 1e12".to_owned()));
        }
        let Some(fields) = fields else { return Ok(Self { theta, scaling: None }) };
        if let Some(part) = fields.get("partial_rotary_factor").filter(|part| part.as_f64() != Some(1.0)) {
            return Err(unsupported("partial_rotary_factor", part, "only 1 is"));
        }
        let kind = fields.get("rope_type").or_else(|| fields.get("type")).and_then(Value::as_str);
        match kind {
            None | Some("default") => Ok(Self { theta, scaling: None }),
            Some("llama3") => {
                let number = |name: &'static str| {
                    let value = fields.get(name).ok_or(ConfigError::Missing { field: name })?;
                    let number = value.as_f64().filter(|number| *number > 0.0 && *number <= 1e9);
                    number.ok_or_else(|| range(name, value, "a number above 0".to_owned()))
                };
                let scaling = Llama3Scaling {
                    factor: number("factor")?,
                    low_frequency: number("low_freq_factor")?,
                    high_frequency: number("high_freq_factor")?,
                    original_positions: number("original_max_position_embeddings")?,
                };
                if scaling.high_frequency <= scaling.low_frequency {
                    return Err(range("high_freq_factor", scaling.high_frequency, "above low_freq_factor".to_owned()));
                }
                Ok(Self { theta, scaling: Some(scaling) })
            }
            Some(other) => Err(unsupported(field, other, "rope types default and llama3 are")),
        }
    }

    /// One over the wavelengths, FP32, half a head of them; computed like transformers does, so that the bits are the same.
    fn inverse_frequencies(&self, head_dimension: i64) -> Result<Tensor, TorchError> {
        let steps = Tensor::f_arange_start_step(0, head_dimension, 2, (Kind::Float, tch::Device::Cpu))?;
        let exponents = steps.f_div_scalar(head_dimension)?;
        let plain = Tensor::f_pow_scalar(self.theta, &exponents)?.f_reciprocal()?;
        let Some(scaling) = self.scaling else { return Ok(plain) };
        let wavelength = plain.f_reciprocal()?.f_mul_scalar(2.0 * std::f64::consts::PI)?;
        let slow = plain.f_div_scalar(scaling.factor)?;
        let span = scaling.high_frequency - scaling.low_frequency;
        let share = wavelength.f_reciprocal()?.f_mul_scalar(scaling.original_positions)?;
        let share = share.f_sub_scalar(scaling.low_frequency)?.f_div_scalar(span)?.f_clamp(0.0, 1.0)?;
        // share is 0 for long wavelengths, 1 for short ones.
        Ok(slow.f_lerp_tensor(&plain, &share)?)
    }

    /// Cosines and signed sines of `length` positions from `start`: each (length, `head_dimension`), FP32. The first half of the sines is
    /// negative, so that `x * cos + roll(x) * sin` turns a head.
    pub(super) fn tables(&self, head_dimension: i64, start: i64, length: i64, device: tch::Device) -> Result<Tables, TorchError> {
        let positions = Tensor::f_arange_start(start, start.saturating_add(length), (Kind::Float, tch::Device::Cpu))?;
        let angles = positions.f_outer(&self.inverse_frequencies(head_dimension)?)?;
        let (cosine, sine) = (angles.f_cos()?, angles.f_sin()?);
        let signed = Tensor::f_cat(&[sine.f_neg()?, sine], 1)?;
        Ok(Tables { cosine: Tensor::f_cat(&[&cosine, &cosine], 1)?.f_to(device)?, sine: signed.f_to(device)? })
    }
}

/// Rotations of a run of positions.
#[derive(Debug)]
pub(super) struct Tables {
    cosine: Tensor,
    sine: Tensor,
}

impl Tables {
    /// Turns heads: `heads` is (batch, length, heads, `head_dimension`).
    pub(super) fn rotate(&self, heads: &Tensor) -> Result<Tensor, TorchError> {
        let kind = heads.f_kind()?;
        let heads = heads.f_to_kind(Kind::Float)?;
        let (cosine, sine) = (self.cosine.f_unsqueeze(1)?, self.sine.f_unsqueeze(1)?);
        let half = heads.size().last().map_or(0, |width| width / 2);
        let turned = heads.f_mul(&cosine)?.f_addcmul(&heads.f_roll([half], [-1])?, &sine)?;
        Ok(turned.f_to_kind(kind)?)
    }
}
