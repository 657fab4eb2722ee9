//! Events of an audit trail in the shapes of AWS CloudTrail: deep, and each kind of call with keys of its own.
//!
//! Values are invented; which keys stand where, and which are often absent, is taken from real deliveries. Over
//! all events no object has 64 keys or more, since from there on the decoder keeps objects as text.

use std::fmt::Write as _;

use fastrand::Rng;

/// What was called, with the texts of its request and response. A `#` stands for eight digits that every event
/// draws anew.
struct Call {
    source: &'static str,
    name: &'static str,
    request: &'static str,
    response: &'static str,
}

const CALLS: [Call; 16] = [
    Call {
        source: "ec2",
        name: "DescribeRouteTables",
        request: r##"{"routeTableIdSet":{"items":[{"routeTableId":"rtb-#"}]},"filterSet":{}}"##,
        response: "null",
    },
    Call {
        source: "ec2",
        name: "DescribeSecurityGroups",
        request: concat!(
            r##"{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"sg-#"},{"groupId":"sg-#"}]},"##,
            r##""filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[{"value":"vpc-#"}]}}]}}"##,
        ),
        response: "null",
    },
    Call {
        source: "ec2",
        name: "DescribeInstances",
        request: r##"{"maxResults":1000,"instancesSet":{"items":[{"instanceId":"i-#"}]},"filterSet":{}}"##,
        response: "null",
    },
    Call {
        source: "ec2",
        name: "RunInstances",
        request: concat!(
            r##"{"instancesSet":{"items":[{"imageId":"ami-#","minCount":1,"maxCount":1}]},"##,
            r##""instanceType":"t3.micro","blockDeviceMapping":{"items":[{"deviceName":"/dev/xvda","##,
            r##""ebs":{"volumeSize":30,"deleteOnTermination":true,"encrypted":true}}]},"##,
            r##""monitoring":{"enabled":false},"tagSpecificationSet":{"items":[{"resourceType":"instance","##,
            r##""tags":[{"key":"Name","value":"worker-#"},{"key":"team","value":"search"}]}]}}"##,
        ),
        response: concat!(
            r##"{"requestId":"#-#","reservationId":"r-#","ownerId":"123837392027","##,
            r##""instancesSet":{"items":[{"instanceId":"i-#","imageId":"ami-#","##,
            r##""instanceState":{"code":0,"name":"pending"},"networkInterfaceSet":{"items":["##,
            r##"{"networkInterfaceId":"eni-#","groupSet":{"items":[{"groupId":"sg-#","groupName":"web"}]}}]}}]}}"##,
        ),
    },
    Call {
        source: "ssm",
        name: "DeleteParameter",
        request: r##"{"name":"/credentials/app/credentials-#"}"##,
        response: "null",
    },
    Call {
        source: "ssm",
        name: "DescribeParameters",
        request: concat!(
            r##"{"parameterFilters":[{"key":"Name","option":"Equals","##,
            r##""values":["/credentials/app/credentials-#"]}],"shared":false}"##,
        ),
        response: "null",
    },
    Call {
        source: "ssm",
        name: "GetParameter",
        request: r##"{"name":"/credentials/app/credentials-#","withDecryption":true}"##,
        response: "null",
    },
    Call {
        source: "rds",
        name: "DescribeOrderableDBInstanceOptions",
        request: r##"{"engine":"aurora-postgresql","engineVersion":"14.6","vpc":true,"marker":"#"}"##,
        response: "null",
    },
    Call {
        source: "rds",
        name: "CreateDBInstance",
        request: concat!(
            r##"{"dBInstanceIdentifier":"db-#","dBInstanceClass":"db.t3.micro","engine":"mysql","##,
            r##""allocatedStorage":20,"masterUsername":"admin","masterUserPassword":"****","##,
            r##""publiclyAccessible":false,"vpcSecurityGroupIds":["sg-#","sg-#"]}"##,
        ),
        response: concat!(
            r##"{"dBInstanceIdentifier":"db-#","dBInstanceStatus":"creating","backupRetentionPeriod":1,"##,
            r##""multiAZ":false,"vpcSecurityGroups":[{"status":"active","vpcSecurityGroupId":"sg-#"}],"##,
            r##""dBSubnetGroup":{"vpcId":"vpc-#","subnets":[{"subnetIdentifier":"subnet-#","##,
            r##""subnetAvailabilityZone":{"name":"us-east-1a"}},{"subnetIdentifier":"subnet-#","##,
            r##""subnetAvailabilityZone":{"name":"us-east-1b"}}]}}"##,
        ),
    },
    Call {
        source: "kms",
        name: "Decrypt",
        request: concat!(
            r##"{"encryptionContext":{"aws:cloudtrail:arn":"arn:aws:cloudtrail:us-east-1:123837392027:trail/#","##,
            r##""aws:s3:arn":"arn:aws:s3:::trail-#/AWSLogs/#"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"##,
        ),
        response: "null",
    },
    Call { source: "iam", name: "GetUser", request: "null", response: "null" },
    Call {
        source: "iam",
        name: "AttachRolePolicy",
        request: r##"{"roleName":"worker-#","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"##,
        response: "null",
    },
    Call {
        source: "sts",
        name: "AssumeRole",
        request: concat!(
            r##"{"roleArn":"arn:aws:iam::123837392027:role/worker-#","##,
            r##""roleSessionName":"awslambda_#","durationSeconds":3600}"##,
        ),
        response: concat!(
            r##"{"credentials":{"accessKeyId":"ASIATFQR#","sessionToken":"IQoJb3JpZ2luX2VjEC0a######","##,
            r##""expiration":"Jan 1, 2026, 2:25:32 AM"},"assumedRoleUser":{"assumedRoleId":"AROATFQR#:#","##,
            r##""arn":"arn:aws:sts::123837392027:assumed-role/worker-#/awslambda_#"}}"##,
        ),
    },
    Call {
        source: "s3",
        name: "GetBucketAcl",
        request: r##"{"bucketName":"trail-#","Host":"trail-#.s3.amazonaws.com","acl":""}"##,
        response: "null",
    },
    Call {
        source: "secretsmanager",
        name: "GetSecretValue",
        request: r##"{"secretId":"arn:aws:secretsmanager:us-east-1:123837392027:secret:#","versionId":"#-#"}"##,
        response: "null",
    },
    Call {
        source: "lambda",
        name: "CreateFunction20150331",
        request: concat!(
            r##"{"functionName":"worker-#","runtime":"python3.9","handler":"lambda.handler","timeout":30,"##,
            r##""role":"arn:aws:iam::123837392027:role/worker-#","code":{"s3Bucket":"code-#","s3Key":"#.zip"},"##,
            r##""environment":{}}"##,
        ),
        response: concat!(
            r##"{"functionName":"worker-#","codeSize":2048,"state":"Pending","architectures":["x86_64"],"##,
            r##""tracingConfig":{"mode":"PassThrough"},"ephemeralStorage":{"size":512}}"##,
        ),
    },
];

const AGENTS: [&str; 3] = [
    "AWS Internal",
    "aws-cli/2.11.25 Python/3.11.3 Linux/5.19.0-1025-aws exe/x86_64.ubuntu.22 prompt/off command/ec2.run-instances",
    concat!(
        "APN/1.0 HashiCorp/1.0 Terraform/1.1.2 (+https://www.terraform.io) terraform-provider-aws/4.67.0 ",
        "(+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go/1.44.261 (go1.19.8; linux; amd64)",
    ),
];

/// Writes one event, in the order of keys that CloudTrail has.
pub(super) fn write_event(random: &mut Rng, id: u32, page: &mut String) -> std::fmt::Result {
    let call = &CALLS[random.usize(..CALLS.len())];
    let (source, name) = (call.source, call.name);
    page.write_str(r#"{"eventVersion":"1.08","userIdentity":"#)?;
    write_identity(random, page)?;
    write!(page, r#","eventTime":"2026-01-01T{:02}:{:02}:{:02}Z","#, id / 3600 % 24, id / 60 % 60, id % 60)?;
    write!(page, r#""eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","#)?;
    write!(page, r#""sourceIPAddress":"10.8.{}.{}","#, random.u8(..), random.u8(..))?;
    write!(page, r#""userAgent":"{}","#, AGENTS[random.usize(..AGENTS.len())])?;
    let is_refused = random.u8(..10) == 0;
    if is_refused {
        page.write_str(r#""errorCode":"AccessDenied","errorMessage":"not authorized to perform: "#)?;
        write!(page, r#"{source}:{name} with an explicit deny","#)?;
    }
    page.write_str(r#""requestParameters":"#)?;
    write_drawn(random, call.request, page)?;
    page.write_str(r#","responseElements":"#)?;
    write_drawn(random, if is_refused { "null" } else { call.response }, page)?;
    if source == "s3" {
        write!(page, r#","additionalEventData":{{"SignatureVersion":"SigV4","bytesTransferredIn":0.0,"#)?;
        write!(page, r#""bytesTransferredOut":{:.1}}}"#, f64::from(random.u16(..)))?;
    }
    write!(page, r#","requestID":"{}","eventID":"{}""#, uuid(random), uuid(random))?;
    let is_change = ["Run", "Create", "Delete", "Attach"].iter().any(|verb| name.starts_with(verb));
    write!(page, r#","readOnly":{}"#, !is_change)?;
    if matches!(source, "kms" | "s3" | "sts") {
        let template =
            r##","resources":[{"accountId":"123837392027","type":"AWS::Resource","ARN":"arn:aws:#"}]"##;
        write_drawn(random, template, page)?;
    }
    page.write_str(
        r#","eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123837392027""#,
    )?;
    page.write_str(r#","eventCategory":"Management""#)?;
    if random.u8(..5) != 0 {
        page.write_str(
            r#","tlsDetails":{"tlsVersion":"TLSv1.2","cipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","#,
        )?;
        write!(page, r#""clientProvidedHostHeader":"{source}.us-east-1.amazonaws.com"}}"#)?;
    }
    page.write_str("}")
}

/// Who called: a user, the session of a role, or a service.
fn write_identity(random: &mut Rng, page: &mut String) -> std::fmt::Result {
    let template = match random.u8(..6) {
        0 => r##"{"type":"AWSService","invokedBy":"lambda.amazonaws.com"}"##,
        1 | 2 => concat!(
            r##"{"type":"IAMUser","principalId":"AIDATFQR#","arn":"arn:aws:iam::123837392027:user/user-#","##,
            r##""accountId":"123837392027","accessKeyId":"AKIATFQR#","userName":"user-#"}"##,
        ),
        3 => concat!(
            r##"{"type":"IAMUser","principalId":"AIDATFQR#","arn":"arn:aws:iam::123837392027:user/user-#","##,
            r##""accountId":"123837392027","accessKeyId":"ASIATFQR#","userName":"user-#","sessionContext":{"##,
            r##""sessionIssuer":{},"webIdFederationData":{},"attributes":{"##,
            r##""creationDate":"2026-01-01T00:00:00Z","mfaAuthenticated":"true"}}}"##,
        ),
        _ => concat!(
            r##"{"type":"AssumedRole","principalId":"AROATFQR#:i-#","##,
            r##""arn":"arn:aws:sts::123837392027:assumed-role/worker-#/i-#","accountId":"123837392027","##,
            r##""accessKeyId":"ASIATFQR#","sessionContext":{"sessionIssuer":{"type":"Role","##,
            r##""principalId":"AROATFQR#","arn":"arn:aws:iam::123837392027:role/worker-#","##,
            r##""accountId":"123837392027","userName":"worker-#"},"webIdFederationData":{},"attributes":{"##,
            r##""creationDate":"2026-01-01T00:00:00Z","mfaAuthenticated":"false"},"ec2RoleDelivery":"2.0"}}"##,
        ),
    };
    write_drawn(random, template, page)
}

/// Writes `template` with digits in the places of its `#`.
fn write_drawn(random: &mut Rng, template: &str, page: &mut String) -> std::fmt::Result {
    let mut pieces = template.split('#');
    page.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        write!(page, "{:08x}{piece}", random.u32(..))?;
    }
    Ok(())
}

fn uuid(random: &mut Rng) -> String {
    let (head, tail) = (random.u64(..), random.u64(..));
    let (a, b, c) = (head >> 32, head >> 16 & 0xffff, head & 0xffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", tail >> 48, tail & 0xffff_ffff_ffff)
}
