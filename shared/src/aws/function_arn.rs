//! The ARN of a Lambda function.

/// The ARN of a function, or of one of its versions or aliases.
///
/// Rekey calls the function in its own region, so both must be in the same one.
///
/// ```
/// use rekey::aws::function_arn::FunctionArn;
///
/// assert!(FunctionArn::parse("arn:aws:lambda:eu-central-1:123456789012:function:find:live").is_some());
/// assert!(FunctionArn::parse("find").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArn(String);

impl FunctionArn {
    /// Parses an ARN, as `UsersFindFunctionArn` accepts it.
    pub fn parse(text: &str) -> Option<Self> {
        let all = |part: &str, is_allowed: fn(char) -> bool| {
            !part.is_empty() && part.chars().all(is_allowed)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (
            &[
                "arn",
                partition,
                "lambda",
                region,
                account,
                "function",
                name,
            ],
            version,
        ) = parts.split_first_chunk()?
        else {
            return None;
        };
        let is_valid = partition.starts_with("aws")
            && all(partition, |c| matches!(c, 'a'..='z' | '-'))
            && all(region, |c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
            && account.len() == 12
            && all(account, |c| c.is_ascii_digit())
            && all(
                name,
                |c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_'),
            )
            && match version {
                [] => true,
                [version] => all(
                    version,
                    |c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '$'),
                ),
                _ => false,
            };
        is_valid.then(|| Self(text.to_owned()))
    }

    /// Returns the ARN as a segment of a URL's path. Only two of its characters need encoding.
    pub(super) fn encoded(&self) -> String {
        self.0.replace(':', "%3A").replace('$', "%24")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_versions_and_aliases_of_every_partition_are_valid() {
        for arn in [
            "arn:aws:lambda:eu-central-1:123456789012:function:find",
            "arn:aws:lambda:us-east-1:123456789012:function:My_function-2:live",
            "arn:aws:lambda:us-east-1:123456789012:function:find:42",
            "arn:aws:lambda:us-east-1:123456789012:function:find:$LATEST",
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:find",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:find",
            "arn:aws-iso-b:lambda:us-isob-east-1:123456789012:function:find",
        ] {
            assert!(FunctionArn::parse(arn).is_some(), "{arn}");
        }
    }

    #[test]
    fn anything_else_is_invalid() {
        for arn in [
            "",
            "find",
            "123456789012:function:find",
            "arn:gcp:lambda:us-east-1:123456789012:function:find",
            "arn:aws1:lambda:us-east-1:123456789012:function:find",
            "arn:aws:s3:us-east-1:123456789012:function:find",
            "arn:aws:lambda::123456789012:function:find",
            "arn:aws:lambda:US-EAST-1:123456789012:function:find",
            "arn:aws:lambda:us-east-1:12345678901:function:find",
            "arn:aws:lambda:us-east-1:1234567890123:function:find",
            "arn:aws:lambda:us-east-1:12345678901a:function:find",
            "arn:aws:lambda:us-east-1:123456789012:layer:find",
            "arn:aws:lambda:us-east-1:123456789012:function",
            "arn:aws:lambda:us-east-1:123456789012:function:",
            "arn:aws:lambda:us-east-1:123456789012:function:$LATEST",
            "arn:aws:lambda:us-east-1:123456789012:function:find/../x",
            "arn:aws:lambda:us-east-1:123456789012:function:find?x",
            "arn:aws:lambda:us-east-1:123456789012:function:find\n",
            "arn:aws:lambda:us-east-1:123456789012:function:find:",
            "arn:aws:lambda:us-east-1:123456789012:function:find:a.b",
            "arn:aws:lambda:us-east-1:123456789012:function:find:live:2",
            " arn:aws:lambda:us-east-1:123456789012:function:find",
        ] {
            assert_eq!(FunctionArn::parse(arn), None, "{arn}");
        }
    }

    #[test]
    fn the_path_has_neither_colons_nor_dollars() {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:find:$LATEST";
        assert_eq!(
            FunctionArn::parse(arn).unwrap().encoded(),
            "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Afind%3A%24LATEST"
        );
    }
}
