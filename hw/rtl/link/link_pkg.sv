// Numbers of the host link's protocol (docs/link.md); hw/host/protocol.py has the same.
package link_pkg;
  // Framing as in RFC 1662: a flag before and after each frame; flag and escape within it are sent as escape, byte ^ 20.
  localparam logic [7:0] Flag   = 8'h7E;
  localparam logic [7:0] Escape = 8'h7D;
  localparam logic [7:0] Toggle = 8'h20;

  localparam int unsigned HeaderBytes = 4;  // kind, sequence number, length of the payload (2 bytes, low one first)
  localparam int unsigned CheckBytes  = 4;  // CRC-32 of header and payload, low byte first

  // Kinds of requests; the answer has Reply set. An error has its own kind and the code as its payload.
  typedef logic [7:0] kind_t;
  localparam kind_t KindIdentity = 8'h01;
  localparam kind_t KindImage    = 8'h02;
  localparam kind_t KindCounters = 8'h03;
  localparam kind_t KindReset    = 8'h04;
  localparam kind_t KindError    = 8'h7F;
  localparam kind_t Reply        = 8'h80;

  // What is wrong with a frame.
  typedef logic [2:0] fault_t;
  localparam fault_t FaultNone     = 3'd0;
  localparam fault_t FaultFraming  = 3'd1;  // a byte without a stop bit
  localparam fault_t FaultLength   = 3'd2;  // more or fewer bytes than its kind has
  localparam fault_t FaultChecksum = 3'd3;
  localparam fault_t FaultKind     = 3'd4;  // no such request
  localparam fault_t FaultOverrun  = 3'd5;  // no room: more images (or requests) at a time than there are slots
  localparam fault_t FaultTimeout  = 3'd6;  // half a frame, then silence
  localparam int unsigned Faults   = 6;
endpackage
